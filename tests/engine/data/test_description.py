"""Data sets in figures."""

from __future__ import annotations

from typing import Any

import pytest

from engine.data.description import describe_dataset
from engine.spec.datasets import DATASETS
from tests.engine.specs import job


def test_a_data_set_of_scikit_learn_is_described_by_its_names() -> None:
    found = describe_dataset(DATASETS["iris"](kind="iris"))
    assert found["rows"] == 150
    first = found["columns"][0]
    assert (first["name"], first["min"], first["max"]) == ("sepal length (cm)", 4.3, 7.9)
    assert first["mean"] == pytest.approx(5.8433, abs=1e-4)
    assert found["target"]["classes"][2] == {"name": "virginica", "count": 50}


@pytest.mark.parametrize(
    "dataset",
    [
        {"kind": "inline", "x": [[1.5], [2.5], [3.5]], "y": [7, 3, 7]},
        {"kind": "csv", "text": "1.5,7\n2.5,3\n3.5,7"},
    ],
)
def test_rows_of_ones_own_are_described(dataset: dict[str, Any]) -> None:
    found = describe_dataset(job(dataset=dataset).dataset)
    (column,) = found["columns"]
    assert (column["name"], column["type"], column["mean"]) == ("x0", "number", 2.5)
    assert found["target"]["classes"] == [{"name": "3", "count": 1}, {"name": "7", "count": 2}]
    assert (found["target"]["name"], found["target"]["max"]) == ("y", 7.0)


def test_a_generator_is_described_by_its_columns() -> None:
    found = describe_dataset(DATASETS["plane"](kind="plane", n_samples=20))
    assert [column["name"] for column in found["columns"]] == ["x", "y"]
    assert "classes" not in found["target"]
