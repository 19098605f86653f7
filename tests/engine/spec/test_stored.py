"""A stored data set is handed in by whoever validates a specification."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from engine.data.loading import load
from engine.inference import preprocessing_of
from engine.spec import JobSpec
from engine.spec.base import problems
from engine.spec.datasets.stored import finding
from tests.engine.specs import SMALL

TABLE = {"kind": "csv", "text": "a,b,kind\n1,red,x\n2,blue,y\n5,red,x\n4,blue,x\n"}
KEPT = {
    "table": TABLE,
    "moons": {"kind": "moons", "n_samples": 20},
    "rows": {"kind": "inline", "x": [[1.0], [2.0]], "y": [3.0, 4.0], "standardise": True},
    "halves": {"kind": "inline", "x": [[1.0], [2.0]], "y": [0.5, 1.5]},
}


def find(id: str) -> bytes | None:
    return json.dumps(KEPT[id]).encode() if id in KEPT else None


def classes(dataset: dict[str, Any], units: int = 2) -> dict[str, Any]:
    changes = {"model": {"layers": [{"units": units}]}, "loss": {"kind": "cross_entropy"}}
    return SMALL | changes | {"dataset": dataset}


def regression(dataset: dict[str, Any]) -> dict[str, Any]:
    changes = {"model": {"layers": [{"units": 1}]}, "loss": {"kind": "mse"}}
    return SMALL | changes | {"dataset": dataset}


def read(text: dict[str, Any]) -> JobSpec:
    return JobSpec.model_validate(text, context=finding(find))


def test_it_is_prepared_as_its_own_specification_is() -> None:
    more = {"standardise": True, "features": ["a", "b", "a^2"]}
    stored = read(classes({"kind": "stored", "id": "table"} | more))
    plain = JobSpec.model_validate(classes(TABLE | more))
    for one, other in zip(load(stored.dataset), load(plain.dataset), strict=True):
        np.testing.assert_array_equal(one, other)
    assert preprocessing_of(stored).to_json() == preprocessing_of(plain).to_json()
    assert stored.sizes() == plain.sizes()
    assert stored.class_names() == plain.class_names() == ("x", "y")
    assert stored.work() == plain.work()


def test_its_normalised_specification_holds_no_rows_and_is_read_again() -> None:
    spec = read(classes({"kind": "stored", "id": "table", "target": "b"}))
    text = spec.model_dump_json()
    assert '"text"' not in text
    again = JobSpec.model_validate_json(text, context=finding(find))
    assert again.model_dump_json() == text
    assert again.class_names() == ("blue", "red")


@pytest.mark.parametrize(
    ("dataset", "place", "words"),
    [
        ({"id": "none"}, "/dataset/id", "there is no data set 'none'"),
        ({"id": "table", "target": "c"}, "/dataset/target", "the columns are a, b, kind"),
        ({"id": "moons", "target": "x"}, "/dataset/target", "only a table has columns"),
        ({"id": "table", "features": ["c"]}, "/dataset/features/0", "not a column"),
        ({"id": "halves"}, "/dataset/id", "row 0 has label 0.5"),
        ({"id": "table", "text": "a,b"}, "/dataset/text", "not permitted"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(
    dataset: dict[str, Any], place: str, words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        read(classes({"kind": "stored"} | dataset))
    ((found, sentence),) = problems(caught.value)
    assert found == place
    assert words in sentence


def test_without_a_service_it_cannot_be_found() -> None:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(classes({"kind": "stored", "id": "table"}))
    assert problems(caught.value)[0][0] == "/dataset/id"


def test_what_is_left_out_is_as_the_data_set_has_it() -> None:
    assert read(regression({"kind": "stored", "id": "rows"})).dataset.standardise is True
    changed = {"kind": "stored", "id": "rows", "standardise": False}
    assert read(regression(changed)).dataset.standardise is False
