"""Asking a trained network: rows go in as people have them, and answers come out by name."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine import softmax
from engine.arrays import Array
from engine.data.loading import load
from engine.data.preprocessing import Preprocessing
from engine.inference import InvalidRows, predict, preprocessing_of
from engine.networks.forward import LayerParameters, layers_of
from engine.spec import JobSpec
from engine.training.initialise import build
from engine.training.prepared import prepare
from tests.engine.specs import IRIS, MOONS, SMALL, vary

CSV: dict[str, Any] = vary(
    SMALL,
    dataset={
        "kind": "csv",
        "text": "id,colour,size,old,kind\n1,red,1.5,yes,cat\n2,blue,2.5,no,dog\n3,red,0.5,no,cat\n",
        "ignore": ["id"],
    },
)
DIABETES = vary(
    SMALL,
    dataset={"kind": "diabetes", "standardise": True, "standardise_targets": True},
    loss={"kind": "mse"},
)


def model(document: dict[str, Any]) -> tuple[JobSpec, Preprocessing, list[LayerParameters]]:
    """A network as it starts, which is as good as a trained one to be asked."""
    spec = JobSpec.model_validate(document)
    parameters = np.array([p.data for p in build(spec.model, spec.sizes()[0]).parameters()])
    activations = [layer.activation for layer in spec.model.layers]
    return spec, preprocessing_of(spec), layers_of(parameters, spec.sizes(), activations)


def values(document: dict[str, Any]) -> list[list[Any]]:
    """The outputs of the network of Values on its own rows as it is trained on them."""
    spec = JobSpec.model_validate(document)
    network = build(spec.model, spec.sizes()[0])
    return [network.outputs(row) for row in prepare(spec).training.x.tolist()]


def cells(spec: JobSpec) -> Array:
    return load(spec.dataset)[0]


def test_a_regression_answers_in_the_unit_of_its_target() -> None:
    spec, memory, layers = model(DIABETES)
    items = predict(memory, layers, cells(spec).tolist())
    scaling = memory.scaling
    wanted = [row[0].data * scaling.target_scale + scaling.target_mean for row in values(DIABETES)]
    assert [item["value"] for item in items] == wanted
    assert 50 < np.mean(wanted) < 250


def test_max_margin_answers_with_a_class_and_its_score() -> None:
    spec, memory, layers = model(MOONS)
    wanted = [row[0].data for row in values(MOONS)]
    items = predict(memory, layers, cells(spec).tolist())
    assert items == [{"class": "01"[score > 0], "score": score} for score in wanted]


def test_cross_entropy_answers_with_the_bits_of_the_engines_softmax() -> None:
    document = vary(IRIS, training={"validation_fraction": 0.0})
    spec, memory, layers = model(document)
    names = ("setosa", "versicolor", "virginica")
    for item, row in zip(
        predict(memory, layers, cells(spec).tolist()), values(document), strict=True
    ):
        wanted = [p.data for p in softmax(row)]
        assert item["probabilities"] == dict(zip(names, wanted, strict=True))
        assert item["class"] == names[int(np.argmax(wanted))]


def test_rows_are_lists_objects_or_csv_and_all_give_the_same() -> None:
    _, memory, layers = model(CSV)
    lists = predict(memory, layers, [["red", 1.5, True], ["blue", 2, 0]])
    assert set(lists[0]["probabilities"]) == {"cat", "dog"}
    assert sum(lists[0]["probabilities"].values()) == pytest.approx(1.0)
    objects = [
        {"size": 1.5, "colour": "red", "old": "yes"},
        {"old": False, "colour": "blue", "size": 2, "kind": "dog", "id": 7},
    ]
    assert predict(memory, layers, objects) == lists
    for text in (
        "old;size;colour\nyes;1,5;red\nno;2;blue\n",
        "id,colour,size,old,kind\n7,red,1.5,yes,cat\n8,blue,2,no,\n",
        "red,1.5,true\nblue,2,false",
        "\ufeffred\t1.5\tyes\tcat\r\nblue\t2\tno\tdog\r\n",
        ",colour,size,old\n0,red,1.5,yes\n1,blue,2,no\n",
    ):
        assert predict(memory, layers, text) == lists, text
    assert predict(memory, layers, "red,1.5,true") == lists[:1]
    assert predict(memory, layers, [["red", 1.5, True, "cat"]]) == lists[:1]


@pytest.mark.parametrize(
    ("row", "place", "words"),
    [
        (["red", 1.5], "/rows/1", "the row has 2 values, and the model has 3 columns: colour"),
        (["red"] * 5, "/rows/1", "the row has 5 values"),
        ("red", "/rows/1", "a row is a list of values or an object by column name"),
        (["pink", 1.5, True], "/rows/1/0", "'pink' is not a category of colour; there are blue"),
        (["red", "1.5", True], "/rows/1/1", "size is a number, not '1.5'"),
        (["red", True, True], "/rows/1/1", "size is a number, not True"),
        (["red", float("nan"), True], "/rows/1/1", "size must be a finite number, not nan"),
        (["red", 10**400, True], "/rows/1/1", "size must be a finite number"),
        (["red", None, True], "/rows/1/1", "size has no value, and this model needs one"),
        (["red", 1.5, 2], "/rows/1/2", "old is true or false, not 2"),
        (["red", 1.5, [1]], "/rows/1/2", "old is true or false, not [1]"),
        (["red", 1.5, True, "cow"], "/rows/1/3", "'cow' is not a class of kind; there are cat"),
        ({"colour": "red", "old": True}, "/rows/1", "the row lacks size"),
        (
            {"colour": "red", "size": 1, "old": True, "a/b": 1},
            "/rows/1/a~1b",
            "there is no column 'a/b'; the columns are colour, size, old",
        ),
        ({"colour": "red", "size": "x", "old": True}, "/rows/1/size", "size is a number, not 'x'"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named_with_its_place(row: Any, place: str, words: str) -> None:
    _, memory, layers = model(CSV)
    with pytest.raises(InvalidRows) as caught:
        predict(memory, layers, [["red", 1.5, True], row])
    ((found, sentence),) = caught.value.problems
    assert found == place
    assert words in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour,size,old\nred,1,yes\npink,2,no", "line 3, column 1: 'pink' is not a category"),
        ("colour,size,old\n\nred,x,yes", "line 3, column 2: size is a number, not 'x'"),
        ("colour,size\nred,1", "the table lacks the column old"),
        ("colour,size,old,age\nred,1,no,3", "there is no column age; the columns are colour"),
        ("red,1", "the rows have 2 cells, and the model has 3 columns"),
        ("colour,size,old", "there are no rows"),
        ("", "there are no rows"),
        ("colour,size,old\nred,,no", "line 2, column 2: size has no value"),
    ],
)
def test_a_wrong_table_is_explained(text: str, words: str) -> None:
    _, memory, layers = model(CSV)
    with pytest.raises(InvalidRows) as caught:
        predict(memory, layers, text, place="csv")
    ((place, sentence),) = caught.value.problems
    assert place in ("/csv", "")
    assert words in sentence


def test_only_the_first_ten_mistakes_and_so_many_rows_are_taken() -> None:
    _, memory, layers = model(MOONS)
    with pytest.raises(InvalidRows) as caught:
        predict(memory, layers, [["a", "b"]] * 1000)
    assert [place for place, _ in caught.value.problems][-1] == "/rows/4/1"
    with pytest.raises(InvalidRows, match="there are 3 rows; at most 2 are allowed"):
        predict(memory, layers, [[0, 0]] * 3, most=2)
    with pytest.raises(InvalidRows, match="there are no rows"):
        predict(memory, layers, [])


def test_a_network_that_diverged_answers_with_none() -> None:
    spec, memory, layers = model(MOONS)
    broken = [
        LayerParameters(layer.weights * 1e308, layer.biases, layer.activation) for layer in layers
    ]
    items = predict(memory, broken, cells(spec).tolist())
    assert {"class": None, "score": None} in items
    json.dumps(items, allow_nan=False)


def test_a_model_that_fills_gaps_takes_rows_with_gaps() -> None:
    text = "colour,size,y\nred,1,1\nblue,,2\nred,3,4\n"
    dataset = {"kind": "csv", "text": text, "missing": "mean"}
    _, memory, layers = model(vary(SMALL, dataset=dataset, loss={"kind": "mse"}))
    mean = predict(memory, layers, [["red", 2.0]])
    assert predict(memory, layers, [["red", None], {"colour": "red"}]) == mean * 2
    assert predict(memory, layers, "colour,size\nred,\n") == mean


def test_sizes_and_parameters_agree() -> None:
    spec, _, layers = model(CSV)
    assert spec.sizes()[0] == 4
    assert [layer.weights.shape for layer in layers] == [(m, n) for n, m in pairwise(spec.sizes())]
