"""What a model remembers of its data, and what rows become with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.data.loading import InvalidData, load
from engine.data.preprocessing import Preprocessing
from engine.spec import JobSpec
from engine.training.prepared import prepare
from tests.engine.specs import DIGITS, IRIS, MOONS, SMALL, job, vary

GAPPY = "colour,size,old,y\n" + "".join(
    f"{('red', 'blue', '')[i % 3]},{'' if i == 4 else i * 1.37},{('yes', 'no')[i % 2]},{i * 0.3}\n"
    for i in range(12)
)
CASES: dict[str, dict[str, Any]] = {
    "moons": MOONS,
    "iris": IRIS,
    "digits": DIGITS,
    "diabetes": vary(
        SMALL,
        dataset={"kind": "diabetes", "standardise": True, "standardise_targets": True},
        loss={"kind": "huber"},
    ),
    "csv": vary(
        SMALL,
        dataset={
            "kind": "csv",
            "text": GAPPY,
            "missing": "mean",
            "features": ["size", "colour", "old", "size^2*old", "sin(size)"],
            "standardise": True,
        },
        loss={"kind": "mse"},
        training={"validation_fraction": 0.25},
    ),
    "labels": vary(
        SMALL,
        dataset={"kind": "inline", "x": [[0.1, 1], [0.2, 2], [0.3, 4]], "y": [7, 3, 9]},
        model={"layers": [{"units": 3}]},
        loss={"kind": "cross_entropy"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_reads_back_from_json_to_the_bit(case: str) -> None:
    spec = JobSpec.model_validate(CASES[case])
    prepared = prepare(spec)
    text = prepared.preprocessing.to_json()
    again = Preprocessing.from_json(text)
    assert again.to_json() == text
    x, _ = load(spec.dataset)
    inputs = again.inputs(x)
    assert inputs.shape == (len(x), spec.dataset.shape()[1])
    trained = {row.tobytes() for row in prepared.training.x}
    assert trained <= {row.tobytes() for row in inputs}
    # One row alone becomes the same numbers.
    alone = [again.inputs(x[i : i + 1])[0].tobytes() for i in range(0, len(x), 7)]
    assert alone == [inputs[i].tobytes() for i in range(0, len(x), 7)]


def test_columns_and_classes_have_their_names() -> None:
    found = {case: prepare(JobSpec.model_validate(CASES[case])).preprocessing for case in CASES}
    assert [column.name for column in found["moons"].columns] == ["x", "y"]
    assert found["moons"].output.classes == ("0", "1")
    assert found["iris"].columns[2].name == "petal length (cm)"
    assert found["iris"].output.classes == ("setosa", "versicolor", "virginica")
    assert found["labels"].output.classes == ("3", "7", "9")
    assert [column.name for column in found["labels"].columns] == ["x0", "x1"]
    kinds = {case: (p.output.kind, p.output.loss_unit) for case, p in found.items()}
    assert kinds["moons"] == ("score", "score")
    assert kinds["iris"] == ("softmax", "nats")
    assert kinds["diabetes"] == ("value", "σ²")
    assert kinds["csv"] == ("value", "y²")


def test_gaps_are_filled_with_the_means_of_the_training_rows() -> None:
    text = "c,a,y\nred,1,1\n,2,2\nblue,,3\nred,9,4\n"
    spec = job(dataset={"kind": "csv", "text": text, "missing": "mean"}, loss={"kind": "mse"})
    assert prepare(spec).training.x == pytest.approx(
        np.array([[0, 1, 1], [1 / 3, 2 / 3, 2], [1, 0, 4], [0, 1, 9]])
    )


def test_the_features_of_playground_are_computed() -> None:
    features = ["x", "y", "x^2", "y^2", "x*y", "sin(x)", "cos(2*y)"]
    spec = job(dataset={"kind": "gauss", "n_samples": 12, "noise": 0.1, "features": features})
    cells = load(spec.dataset)[0]
    wanted = [[x, y, x * x, y * y, x * y, math.sin(x), math.cos(2 * y)] for x, y in cells.tolist()]
    assert prepare(spec).training.x.tolist() == wanted


def test_a_feature_that_is_too_large_is_refused() -> None:
    dataset = {"kind": "inline", "x": [[1e200], [1.0]], "y": [0.0, 1.0], "features": ["x0^2"]}
    with pytest.raises(InvalidData, match="a feature is too large a number in some row"):
        prepare(job(dataset=dataset))


def test_circles_are_learnt_by_one_neuron_with_squares() -> None:
    from engine.train import train

    dataset = {"kind": "circles", "n_samples": 100, "noise": 0.05, "features": ["x^2", "y^2"]}
    spec = job(
        dataset=dataset,
        model={"layers": [{"units": 1}], "init": {"seed": 1}},
        loss={"kind": "binary_cross_entropy"},
        optimizer={"learning_rate": 5.0},
        training={"steps": 100},
        executor="native",
    )
    *_, last = train(spec)
    assert last.rows[-1].accuracy == 1.0
