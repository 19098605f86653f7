"""Losses: their numbers, their gradients by finite differences, and extreme inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from engine import Value
from engine.autograd.gradcheck import gradcheck
from engine.compiler.record import record
from engine.native.function import NativeFunction
from engine.networks.batch_loss import l1, l2, reduce
from engine.spec.loss import (
    FORMULAS,
    LOSSES,
    binary_cross_entropy,
    cross_entropy,
    huber,
    mae,
    max_margin,
    mse,
    score_name,
)


def of(loss: Callable[..., Value], output: float, target: float) -> float:
    return loss([Value(output)], [target]).data


def test_numbers() -> None:
    assert of(mse, 3.0, 1.0) == 4.0
    assert of(mae, -3.0, 1.0) == 4.0
    assert of(max_margin, 0.25, 1.0) == 0.75
    assert of(max_margin, 0.25, -1.0) == 1.25
    assert of(max_margin, 2.0, 1.0) == 0.0
    assert of(binary_cross_entropy, 0.0, 1.0) == pytest.approx(math.log(2))
    assert of(binary_cross_entropy, 2.0, 0.0) == pytest.approx(
        -math.log(1 - 1 / (1 + math.exp(-2)))
    )


@pytest.mark.parametrize(
    ("output", "expected"), [(0.5, 0.125), (-0.5, 0.125), (3.0, 4.0), (2.0, 2.0)]
)
def test_huber_is_a_parabola_and_then_a_line(output: float, expected: float) -> None:
    assert of(partial(huber, delta=2.0), output, 0.0) == expected


@pytest.mark.parametrize(("distance", "slope"), [(2.0, 2.0), (-2.0, -2.0), (0.0, 0.0), (9.0, 2.0)])
def test_huber_has_one_slope_where_its_pieces_meet(distance: float, slope: float) -> None:
    x = Value(distance)
    huber([x], [0.0], delta=2.0).backward()
    assert x.grad == slope


def test_cross_entropy_is_minus_the_log_of_the_softmax() -> None:
    logits = [Value(x) for x in (0.3, -1.2, 2.0)]
    total = sum(math.exp(x.data) for x in logits)
    for right in range(3):
        mark = [float(i == right) for i in range(3)]
        expected = -math.log(math.exp(logits[right].data) / total)
        assert cross_entropy(logits, mark).data == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("logit", [-1000.0, 1000.0])
def test_cross_entropies_stay_finite(logit: float) -> None:
    assert of(binary_cross_entropy, logit, float(logit > 0)) == 0.0
    assert of(binary_cross_entropy, logit, float(logit < 0)) == 1000.0
    assert cross_entropy([Value(logit), Value(-logit)], [1.0, 0.0]).data == max(0.0, -2 * logit)


@pytest.mark.parametrize("kind", FORMULAS)
def test_gradients_agree_with_finite_differences(kind: str) -> None:
    targets = [1.0] if kind != "cross_entropy" else [0.0, 1.0, 0.0]
    points = ([-1.3, 0.4, 2.6], [0.2, 3.0, -0.1])
    for point in points:
        inputs = point[: len(targets)]
        check = gradcheck(lambda *outputs: FORMULAS[kind](outputs, targets), *inputs)
        assert check, f"{kind}: {check}"


@pytest.mark.parametrize("kind", FORMULAS)
def test_targets_may_be_values(kind: str) -> None:
    """In a recorded graph the targets are leaves."""
    targets = [1.0] if kind != "cross_entropy" else [0.0, 1.0, 0.0]
    outputs = [Value(0.4 + i) for i in range(len(targets))]
    plain = FORMULAS[kind](outputs, targets)
    recorded = FORMULAS[kind](outputs, [Value(t) for t in targets])
    assert plain.data == recorded.data


def test_reductions_and_penalties() -> None:
    losses = [Value(x) for x in (1.0, 2.0, 6.0)]
    assert reduce(losses, "sum").data == 9.0
    assert reduce(losses, "mean").data == pytest.approx(3.0)
    parameters = [Value(-2.0), Value(3.0)]
    assert l2(parameters, 0.1).data == pytest.approx(1.3)
    assert l1(parameters, 0.1).data == pytest.approx(0.5)


def test_what_cannot_be_reduced_is_refused() -> None:
    with pytest.raises(ValueError, match="no reduction 'median'; there are mean, sum"):
        reduce([Value(1.0)], "median")
    with pytest.raises(ValueError, match="nothing to add up"):
        reduce([], "sum")


def test_a_loss_of_one_output_refuses_two() -> None:
    with pytest.raises(ValueError, match="too many values"):
        mse([Value(1.0), Value(2.0)], [1.0, 2.0])


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e9, 1e12, 1e15, -1e16])
@pytest.mark.parametrize("classes", [2, 5])
def test_cross_entropy_keeps_its_digits_under_a_common_offset(offset: float, classes: int) -> None:
    marks = [1.0] + [0.0] * (classes - 1)
    logits = [Value(offset) for _ in range(classes)]
    loss = cross_entropy(logits, marks)
    loss.backward()
    uniform = 1.0 / classes
    assert loss.data == pytest.approx(math.log(classes), rel=1e-14)
    assert [x.grad for x in logits] == pytest.approx(
        [uniform - 1.0] + [uniform] * (classes - 1), rel=1e-14
    )
    parameters, targets = [Value(0.5 * i) for i in range(classes)], [Value(m) for m in marks]
    program = record(cross_entropy(parameters, targets), parameters, targets)
    native = NativeFunction(program, np.array([marks]))
    numbers = [offset] * classes
    assert native.loss(numbers) == pytest.approx(loss.data, rel=1e-14)
    assert native.gradient(numbers).tolist() == pytest.approx([x.grad for x in logits], rel=1e-14)


def test_every_loss_is_registered_with_its_score() -> None:
    names = {kind: loss(kind=kind).score_name for kind, loss in LOSSES.items()}
    assert names == {
        "mse": "R²",
        "mae": "R²",
        "huber": "R²",
        "max_margin": "accuracy",
        "binary_cross_entropy": "accuracy",
        "cross_entropy": "accuracy",
    }
    assert {kind: score_name(kind) for kind in LOSSES} == names
