"""Stochastic gradient descent."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from engine import MLP, Value
from engine.networks.optimizers import SGD, norm


def descend(steps: int = 3, **options: Any) -> list[float]:
    """Positions of a point that slides down x² + 3y²."""
    x, y = Value(1.0), Value(-2.0)
    optimizer = SGD([x, y], **options)
    path = []
    for _ in range(steps):
        x.grad = y.grad = 0.0
        (x * x + 3 * y * y).backward()
        optimizer.step(0.1)
        path += [x.data, y.data]
    return path


def test_plain_descent() -> None:
    assert descend(1) == [1.0 - 0.1 * 2.0, -2.0 + 0.1 * 12.0]


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_follows_its_formula(nesterov: bool) -> None:
    x, velocity, expected = np.array([1.0, -2.0]), np.zeros(2), []
    for _ in range(3):
        gradient = np.array([2.0, 6.0]) * x
        velocity = 0.9 * velocity + gradient
        x = x - 0.1 * (gradient + 0.9 * velocity if nesterov else velocity)
        expected += x.tolist()
    assert descend(momentum=0.9, nesterov=nesterov) == pytest.approx(expected, rel=1e-14)


def test_clipping_shortens_long_gradients_only() -> None:
    x, y = Value(0.0), Value(0.0)
    optimizer = SGD([x, y], clip_norm=1.0)
    x.grad, y.grad = 3.0, 4.0
    optimizer.step(1.0)
    assert math.hypot(x.grad, y.grad) == pytest.approx(1.0, rel=1e-6)
    assert (x.data, y.data) == pytest.approx((-0.6, -0.8), rel=1e-6)
    x.grad, y.grad = 0.3, 0.4
    optimizer.step(1.0)
    assert (x.grad, y.grad) == (0.3, 0.4)


def test_parameters_may_come_from_an_iterator() -> None:
    p = Value(1.0)
    optimizer = SGD(q for q in [p])
    p.grad = 1.0
    for _ in range(3):
        optimizer.step(0.1)
    assert p.data == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        (iter([]), ValueError, "at least one parameter"),
        (MLP(1, [1]), TypeError, r"not a MLP; a model's are model.parameters\(\)"),
        (Value(1.0), TypeError, "needs a list of parameters, not a Value"),
        ([Value(1.0), 2.0], TypeError, "must be a Value, but number 1 is a float"),
    ],
)
def test_what_has_no_parameters_is_refused(
    parameters: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        SGD(parameters)


@pytest.mark.parametrize("size", [1e200, 1e308, 1e155, 1e154, 1.0, 1e-3])
def test_clipping_keeps_the_direction_of_any_gradient(size: float) -> None:
    x, y = Value(0.0), Value(0.0)
    x.grad, y.grad = 1.7 * size, -1.1 * size
    direction = (-1.7 / math.hypot(1.7, 1.1), 1.1 / math.hypot(1.7, 1.1))
    SGD([x, y], clip_norm=1e-4).step(1.0)
    length = 1e-4 if size > 1.0 else math.hypot(x.data, y.data)
    assert (x.data, y.data) == pytest.approx([d * length for d in direction], rel=1e-6)
    assert math.hypot(x.data, y.data) == pytest.approx(1e-4, rel=1e-3)


def test_a_short_gradient_is_not_clipped() -> None:
    x = Value(0.0)
    x.grad = 1e-200
    SGD([x], clip_norm=1.0).step(1.0)
    assert x.data == -1e-200


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e-170, 1e155, 1e200, 1e307])
def test_the_norm_neither_overflows_nor_vanishes(size: float) -> None:
    assert norm([3 * size, -4 * size]) == pytest.approx(5 * size, rel=1e-15)


def test_the_norm_of_ordinary_gradients_is_the_plain_sum_to_the_bit() -> None:
    rng = random.Random(3)
    for exponent in range(-140, 140, 7):
        gradient = [rng.uniform(-1, 1) * 10.0**exponent for _ in range(20)]
        total = 0.0
        for g in gradient:
            total += g * g
        assert norm(gradient) == math.sqrt(total)


def test_the_norm_of_what_is_not_finite() -> None:
    assert (norm([]), norm([0.0, -0.0])) == (0.0, 0.0)
    assert norm([1.0, -math.inf]) == math.inf
    assert math.isnan(norm([1e200, math.nan]))
    assert norm([1.7e308, 1.7e308]) == math.inf
