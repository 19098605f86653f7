"""Warnings name likely mistakes before training, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.loading import load
from engine.networks.activations import ACTIVATIONS
from engine.spec import JobSpec
from engine.spec.datasets import DATASETS
from engine.spec.loss import LOSSES
from engine.spec.warnings import RANGES, warnings
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


@pytest.mark.parametrize("activation", list(RANGES))
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


@pytest.mark.parametrize("kind", ["inline", "csv"])
@pytest.mark.parametrize(
    ("activation", "targets", "fits"),
    [
        ("sigmoid", [0.0, 1.0], True),
        ("sigmoid", [0.0, 1.5], False),
        ("sigmoid", [-0.5, 1.0], False),
        ("tanh", [-1.0, 1.0], True),
        ("tanh", [-1.0, 3.5], False),
        ("relu", [0.0, 1e6], True),
        ("gelu", [-0.1, 1e6], True),
        ("gelu", [-0.5, 1e6], False),
        ("linear", [-1e6, 1e6], True),
    ],
)
def test_targets_outside_the_range_of_the_output_are_named(
    activation: str, targets: list[float], fits: bool, kind: str
) -> None:
    text = "x,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate(targets))
    dataset = {"kind": "csv", "text": text} if kind == "csv" else inline([[0.0], [1.0]], targets)
    model = {"layers": [{"units": 1, "activation": activation}]}
    found = warned(dataset=dataset, model=model, loss={"kind": "mse"})
    assert list(found) == ([] if fits else ["/model/layers/0/activation"])


@pytest.mark.parametrize("activation", list(RANGES))
def test_standardised_targets_are_outside_the_range_of_an_output(activation: str) -> None:
    model = {"layers": [{"units": 1, "activation": activation}]}
    dataset = {"kind": "diabetes", "standardise_targets": True}
    found = warned(dataset=dataset, model=model, loss={"kind": "mse"})
    assert list(found) == ["/model/layers/0/activation"]


@pytest.mark.parametrize("activation", list(RANGES))
def test_the_ranges_of_activations_are_theirs(activation: str) -> None:
    outputs = ACTIVATIONS[activation].array(np, np.linspace(-50.0, 50.0, 10_001))
    low, high, _ = RANGES[activation]
    assert outputs.min() == pytest.approx(low, abs=1e-3)
    assert outputs.max() == pytest.approx(min(high, 50.0), abs=1e-3)


def test_classes_that_are_taken_for_numbers_are_named() -> None:
    found = warned(dataset={"kind": "iris"}, loss={"kind": "mse"})
    assert list(found) == ["/loss/kind"]


@pytest.mark.parametrize(
    ("targets", "named"),
    [
        ([0.0, 1.0, 2.0, 1.0], True),
        ([0.0, 1.0, 1.0, 0.0], False),
        ([0.0, 1.0, 2.5, 1.0], False),
        ([1.0, 2.0, 3.0, 1.0], False),
        ([float(i) for i in range(10)] * 2, True),
        ([float(i) for i in range(50)] * 2, False),
        ([0.0, 1.0, 2.0], False),
    ],
)
def test_targets_that_look_like_classes_are_named(targets: list[float], named: bool) -> None:
    dataset = inline([[0.1] for _ in targets], targets)
    found = warned(dataset=dataset, loss={"kind": "mse"})
    assert list(found) == (["/loss/kind"] if named else [])


@pytest.mark.parametrize(
    ("hidden", "named"),
    [
        (["linear", "linear"], True),
        (["linear", "tanh"], False),
        (["linear"], False),
        ([], False),
    ],
)
def test_hidden_layers_that_are_all_linear_are_named(hidden: list[str], named: bool) -> None:
    layers = [{"units": 3, "activation": activation} for activation in hidden]
    found = warned(model={"layers": [*layers, {"units": 1}]})
    assert list(found) == (["/model/layers"] if named else [])


@pytest.mark.parametrize(("fraction", "named"), [(0.0, False), (0.3, True), (0.45, False)])
def test_a_validation_set_of_few_rows_is_named(fraction: float, named: bool) -> None:
    found = warned(training={"validation_fraction": fraction})
    assert list(found) == (["/training/validation_fraction"] if named else [])


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
    ("kind", "field", "usual", "large"),
    [
        ("moons", "noise", 0.3, 50.0),
        ("circles", "noise", 0.3, 50.0),
        ("swiss_roll", "noise", 1.0, 50.0),
        ("s_curve", "noise", 1.0, 50.0),
        ("blobs", "cluster_std", 3.0, 50.0),
        ("classification", "class_sep", 3.0, 100.0),
        ("gaussian_quantiles", "cov", 3.0, 2500.0),
        ("regression", "noise", 50.0, None),
    ],
)
def test_large_inputs_are_named_before_they_are_generated(
    kind: str, field: str, usual: float, large: float | None
) -> None:
    classes = 3 if kind == "gaussian_quantiles" else 2
    model = {"layers": [{"units": classes}]}
    changes: dict[str, Any] = {"loss": {"kind": "cross_entropy"}, "model": model}
    if DATASETS[kind].CLASSES is None:
        changes = {"loss": {"kind": "mse"}}
    assert warned(dataset={"kind": kind, field: usual}, **changes) == {}
    if large is not None:
        dataset = {"kind": kind, field: large}
        assert list(warned(dataset=dataset, **changes)) == ["/dataset/standardise"]
        assert warned(dataset=dataset | {"standardise": True}, **changes) == {}
        assert np.abs(load(job(dataset=dataset, **changes).dataset)[0]).max() > 100.0


@pytest.mark.parametrize(
    ("rate", "clip", "momentum", "named"),
    [
        (100.0, 0.01, 0.0, False),
        (100.0, 0.01, 0.9, True),
        (100.0, 0.0005, 0.9, False),
        (100.0, 1.0, 0.0, True),
        (100.0, None, 0.0, True),
    ],
)
def test_a_high_rate_is_fine_where_clipping_keeps_updates_small(
    rate: float, clip: float | None, momentum: float, named: bool
) -> None:
    optimizer = {"learning_rate": rate, "clip_norm": clip, "momentum": momentum}
    found = warned(optimizer=optimizer)
    assert list(found) == (["/optimizer/learning_rate"] if named else [])


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
