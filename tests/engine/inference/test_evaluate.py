"""Judging a network: the same numbers as training has, and those of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from engine.inference import Cells, InvalidRows, evaluate, predict, preprocessing_of, read, rows_of
from engine.networks.forward import layers_of
from engine.spec import JobSpec
from engine.train import train
from tests.engine.specs import IRIS, MOONS, SMALL, vary

SHORT = {"steps": 5, "log_every": 5}
CASES: dict[str, dict[str, Any]] = {
    "iris": vary(IRIS, training={**SHORT, "validation_fraction": 0.4}),
    "moons": vary(MOONS, training={**SHORT, "validation_fraction": 0.25}),
    "plane": vary(
        SMALL,
        dataset={"kind": "plane", "n_samples": 40, "noise": 0.2, "standardise_targets": True},
        loss={"kind": "huber", "delta": 0.5, "l1": 1e-3, "l2": 1e-3, "reduction": "sum"},
        training={**SHORT, "validation_fraction": 0.25},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_loss_and_score_have_the_bits_of_the_scalar_executor(case: str) -> None:
    spec = JobSpec.model_validate(CASES[case] | {"executor": "scalar"})
    *_, last = train(spec)
    parameters = last.snapshot().parameters
    scores = last.evaluate(parameters)
    activations = [layer.activation for layer in spec.model.layers]
    layers = layers_of(parameters, spec.sizes(), activations)
    memory = preprocessing_of(spec)
    training = evaluate(spec, memory, layers, rows_of(spec, "training"))
    validation = evaluate(spec, memory, layers, rows_of(spec, "validation"))
    assert (training.loss, training.score) == (scores.loss, scores.accuracy)
    assert (validation.loss, validation.score) == (
        scores.validation_loss,
        scores.validation_accuracy,
    )


def judged(case: str) -> tuple[Any, Any]:
    spec = JobSpec.model_validate(CASES[case])
    *_, last = train(spec)
    activations = [layer.activation for layer in spec.model.layers]
    layers = layers_of(last.snapshot().parameters, spec.sizes(), activations)
    rows = rows_of(spec)
    found = evaluate(spec, preprocessing_of(spec), layers, rows)
    assert found.answers == predict(preprocessing_of(spec), layers, rows.cells.tolist())
    return found, rows


@pytest.mark.parametrize("case", ["iris", "moons"])
def test_classes_are_judged_as_scikit_learn_does(case: str) -> None:
    found, rows = judged(case)
    names = [item.name for item in found.classes]
    predicted = [item["class"] for item in found.answers]
    assert found.targets == [names[int(i)] for i in rows.targets]
    wanted = metrics.confusion_matrix(found.targets, predicted, labels=names)
    assert found.confusion == wanted.tolist()
    assert found.score == pytest.approx(metrics.accuracy_score(found.targets, predicted))
    scores = metrics.precision_recall_fscore_support(
        found.targets, predicted, labels=names, zero_division=np.nan
    )
    for item, precision, recall, f1, count in zip(found.classes, *scores, strict=True):
        assert (item.precision, item.recall, item.f1, item.rows) == (
            None if np.isnan(precision) else pytest.approx(precision),
            pytest.approx(recall),
            pytest.approx(f1),
            count,
        )
    assert (found.score_name, found.residuals) == ("accuracy", None)


def test_a_regression_has_residuals_and_r_squared() -> None:
    found, rows = judged("plane")
    predicted = [item["value"] for item in found.answers]
    assert found.residuals == (rows.targets - np.array(predicted)).tolist()
    assert found.score == pytest.approx(metrics.r2_score(rows.targets, predicted))
    assert (found.score_name, found.loss_unit) == ("R²", "σ²")
    assert (found.confusion, found.classes) == (None, [])
    assert len(found.losses) == 40


def test_rows_of_ones_own_are_judged_by_their_labels() -> None:
    dataset = {"kind": "inline", "x": [[0.0], [1.0], [2.0]], "y": [3.0, 9.0, 3.0]}
    spec = JobSpec.model_validate(vary(SMALL, dataset=dataset))
    memory = preprocessing_of(spec)
    layers = layers_of(np.ones(spec.parameters()), spec.sizes(), ["tanh", "linear"])
    rows = read(memory, [[0.5, 9], {"x0": 0.5, "y": 3.0}, [0.5, "9"]])
    assert rows.targets.tolist() == [1, 0, 1]
    assert read(memory, "x0,y\n0.5,9.0\n0.5,3\n0.5,9\n").targets.tolist() == [1, 0, 1]
    assert evaluate(spec, memory, layers, rows).targets == ["9", "3", "9"]
    with pytest.raises(InvalidRows) as caught:
        evaluate(spec, memory, layers, Cells(rows.cells, np.array([0.0, np.nan, 1.0])))
    assert caught.value.problems[0] == (
        "/rows/1",
        "the row has no y, and cannot be judged without it",
    )
