"""Warnings name likely mistakes before training, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.spec import JobSpec
from engine.spec.loss import LOSSES
from engine.spec.warnings import warnings
from tests.engine.specs import MOONS, SMALL, job, vary

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.json"))


def warned(**changes: Any) -> dict[str, str]:
    return dict(warnings(job(vary(SMALL, **changes))))


def inline(x: list[list[float]], y: list[float], **fields: Any) -> dict[str, Any]:
    return {"kind": "inline", "x": x, "y": y} | fields


LOGITS = [kind for kind, loss in LOSSES.items() if loss.READS_LOGITS]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_have_no_warnings(path: Path) -> None:
    assert warnings(JobSpec.model_validate(json.loads(path.read_text()))) == []


def test_the_demo_has_no_warnings() -> None:
    assert warnings(job(MOONS)) == []


@pytest.mark.parametrize("activation", ["sigmoid", "softplus", "relu"])
@pytest.mark.parametrize("loss", LOGITS)
def test_an_output_that_squashes_logits_is_named(loss: str, activation: str) -> None:
    units = 2 if loss == "cross_entropy" else 1
    model = {"layers": [{"units": 4, "activation": "tanh"}]}
    model["layers"].append({"units": units, "activation": activation})
    found = warned(model=model, loss={"kind": loss})
    assert list(found) == ["/model/layers/1/activation"]
    assert "Use linear" in found["/model/layers/1/activation"]


def test_an_output_that_cannot_reach_the_targets_is_named() -> None:
    model = {"layers": [{"units": 1, "activation": "relu"}]}
    below = inline([[0.0], [1.0]], [-1.0, 1.0])
    found = warned(dataset=below, model=model, loss={"kind": "mse"})
    assert list(found) == ["/model/layers/0/activation"]
    above = inline([[0.0], [1.0]], [0.0, 1.0])
    assert warned(dataset=above, model=model, loss={"kind": "mse"}) == {}


def test_classes_that_are_taken_for_numbers_are_named() -> None:
    found = warned(dataset={"kind": "iris"}, loss={"kind": "mse"})
    assert list(found) == ["/loss/kind"]


@pytest.mark.parametrize(
    "dataset",
    [
        inline([[0.5], [-2000.0]], [0.0, 1.0]),
        {"kind": "csv", "text": "a,y\n1500,0\n1,1"},
        {"kind": "breast_cancer"},
    ],
    ids=lambda dataset: str(dataset["kind"]),
)
def test_large_inputs_that_are_not_scaled_are_named(dataset: dict[str, Any]) -> None:
    assert list(warned(dataset=dataset)) == ["/dataset/standardise"]
    assert warned(dataset=dataset | {"standardise": True}) == {}


@pytest.mark.parametrize(
    ("rate", "steps", "place"),
    [
        (1e-9, 100, ["/optimizer/learning_rate"]),
        (1e-9, 1_000_000, []),
        (100.0, 100, ["/optimizer/learning_rate"]),
        ({"kind": "linear", "start": 1.0, "end": 0.0}, 100, []),
        ({"kind": "warmup", "steps": 10, "then": 50.0}, 100, ["/optimizer/learning_rate"]),
    ],
)
def test_rates_that_learn_nothing_or_diverge_are_named(
    rate: Any, steps: int, place: list[str]
) -> None:
    assert list(warned(optimizer={"learning_rate": rate}, training={"steps": steps})) == place


def test_gradients_that_add_up_are_named() -> None:
    assert list(warned(training={"zero_grad": False})) == ["/training/zero_grad"]
