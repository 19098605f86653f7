"""Both engines at the corners of every operation: zeros, infinities, subnormal numbers.

The scalar engine refuses some points (log of 0). At all others the numbers agree. The gradients
agree where the numbers are finite; elsewhere the native engine returns NaN as the gradient.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from engine import Value, log_sum_exp
from engine.compiler.record import record
from engine.native.function import NativeFunction

INFINITY, TINY = math.inf, 5e-324
CORNERS = [0.0, TINY, -TINY, 1e-310, -1e-310, 1.0, -1.0, 2.0, -3.0, 0.5, 1e300, -1e300]
CORNERS += [INFINITY, -INFINITY]
ARRIVING = [0.0, -0.0, 1.0, -2.0]
"""Gradients that arrive at the operation."""

UNARY: dict[str, Callable[[Value], Value]] = {
    "exp": Value.exp,
    "log": Value.log,
    "sqrt": Value.sqrt,
    "sin": Value.sin,
    "cos": Value.cos,
    "tanh": Value.tanh,
    "sigmoid": Value.sigmoid,
    "softplus": Value.softplus,
    "relu": Value.relu,
    "leaky_relu": Value.leaky_relu,
    "gelu": Value.gelu,
    "abs": Value.abs,
    "**0": lambda x: x**0,
    "**1": lambda x: x**1,
    "**2": lambda x: x**2,
    "**3": lambda x: x**3,
    "**0.5": lambda x: x**0.5,
    "**0.3": lambda x: x**0.3,
    "**1.5": lambda x: x**1.5,
    "**-1": lambda x: x**-1,
    "**-0.5": lambda x: x**-0.5,
}
BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "maximum": Value.maximum,
    "log_sum_exp": lambda a, b: log_sum_exp([a, b]),
}


def scalar(
    function: Callable[..., Value], point: tuple[float, ...], arriving: float
) -> list[float] | None:
    """The result and its gradients; None if the scalar engine refuses the point."""
    leaves = [Value(x) for x in point]
    try:
        root = function(*leaves) * arriving
        root.backward()
    except (ValueError, ArithmeticError):
        return None
    return [root.data, *(leaf.grad for leaf in leaves)]


def native(function: Callable[..., Value], arity: int, arriving: float) -> NativeFunction:
    leaves, weight = [Value(1.5) for _ in range(arity)], Value(arriving)
    # The weight is an input, so that it is not folded into the operation.
    program = record(function(*leaves) * weight, leaves, [weight])
    return NativeFunction(program, np.array([[arriving]]))


@pytest.mark.parametrize("arriving", ARRIVING)
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_both_engines_agree_at_the_corners(name: str, arriving: float) -> None:
    function: Callable[..., Value] = (UNARY | BINARY)[name]  # type: ignore[operator]
    arity = 1 if name in UNARY else 2
    compiled = native(function, arity, arriving)
    compared = 0
    for point in itertools.product(CORNERS, repeat=arity):
        expected = scalar(function, point, arriving)
        if expected is None or (name == "**0.5" and point == (-INFINITY,)):
            continue  # C's pow says that √-∞ is ∞; the native engine takes the square root
        loss = compiled.loss(point)
        if math.isfinite(expected[0]):
            found = [loss, *compiled.gradient(point).tolist()]
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-300, nan_ok=True), point
        else:
            assert not math.isfinite(loss), point
        compared += 1
    assert compared >= 6


@pytest.mark.parametrize(
    "function",
    [
        lambda p: 0 * p.sqrt(),
        lambda p: (p.sqrt() - 5).relu(),
        lambda p: (p**0.5).maximum(1),
        lambda p: p.sqrt() ** 2,
        lambda p: p * p**0.5,
        lambda p: 0 * p ** Value(0.25),
    ],
)
def test_no_gradient_passes_an_infinite_slope_where_none_arrives(
    function: Callable[[Value], Value],
) -> None:
    x = Value(0.0)
    function(x).backward()
    assert x.grad == 0.0
    assert native(function, 1, 1.0).gradient([0.0]).tolist() == [0.0]


def test_an_infinite_slope_stays_infinite_where_a_gradient_arrives() -> None:
    for function, slope in (
        (lambda p: -2 * p.sqrt(), -INFINITY),
        (lambda p: TINY * p**0.5, INFINITY),
    ):
        x = Value(0.0)
        function(x).backward()
        assert x.grad == slope
