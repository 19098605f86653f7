"""The number and gradient of every operation, compared with HIPS autograd."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import pytest
from autograd import grad
from autograd.scipy.special import erf, logsumexp

from engine import Value
from engine.autograd.value import log_sum_exp, softmax

CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[tuple[float, ...]]]] = {
    "+": (lambda a, b: a + b, lambda a, b: a + b, [(1.5, -2.0)]),
    "-": (lambda a, b: a - b, lambda a, b: a - b, [(1.5, -2.0)]),
    "*": (lambda a, b: a * b, lambda a, b: a * b, [(1.5, -2.0), (0.0, 3.0)]),
    "/": (lambda a, b: a / b, lambda a, b: a / b, [(1.5, -2.0), (0.0, 3.0)]),
    "**": (lambda a, b: a**b, lambda a, b: a**b, [(1.5, -2.0), (0.3, 0.5), (7.0, 0.0)]),
    "**2": (lambda a: a**2, lambda a: a**2, [(3.0,), (-3.0,), (0.0,)]),
    "**-1.5": (lambda a: a**-1.5, lambda a: a**-1.5, [(3.0,), (0.2,)]),
    "2**": (lambda a: 2**a, lambda a: 2.0**a, [(3.0,), (-0.2,)]),
    "exp": (Value.exp, anp.exp, [(1.0,), (-30.0,)]),
    "log": (Value.log, anp.log, [(1.0,), (1e-6,), (30.0,)]),
    "sqrt": (Value.sqrt, anp.sqrt, [(1.0,), (1e-6,), (30.0,)]),
    "sin": (Value.sin, anp.sin, [(1.0,), (-4.0,)]),
    "cos": (Value.cos, anp.cos, [(1.0,), (-4.0,)]),
    "tanh": (Value.tanh, anp.tanh, [(-1.0,), (0.123,), (2.0,)]),
    "sigmoid": (Value.sigmoid, lambda a: 1 / (1 + anp.exp(-a)), [(1.0,), (-4.0,), (0.0,)]),
    "softplus": (Value.softplus, lambda a: anp.logaddexp(a, 0.0), [(1.0,), (-4.0,), (40.0,)]),
    "relu": (Value.relu, lambda a: anp.maximum(a, 0.0), [(1.0,), (-4.0,)]),
    "leaky_relu": (
        lambda a: a.leaky_relu(0.2),
        lambda a: anp.where(a > 0, a, 0.2 * a),
        [(1.0,), (-4.0,)],
    ),
    "gelu": (
        Value.gelu,
        lambda a: 0.5 * a * (1 + erf(a / math.sqrt(2))),
        [(1.0,), (-1.3,), (0.0,), (6.0,)],
    ),
    "abs": (abs, anp.abs, [(1.0,), (-4.0,)]),
    "maximum": (Value.maximum, anp.maximum, [(1.0, 2.0), (2.0, 1.0)]),
    "logsumexp": (
        lambda *xs: log_sum_exp(xs),
        lambda *xs: logsumexp(anp.array(xs)),
        [(1.0, -2.0, 0.5), (700.0, 710.0, 705.0), (3.0,)],
    ),
    "softmax": (
        lambda *xs: softmax(xs)[1],
        lambda *xs: anp.exp(xs[1]) / anp.sum(anp.exp(anp.array(xs))),
        [(1.0, -2.0, 0.5)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_number_and_gradient(name: str) -> None:
    ours, theirs, points = CASES[name]
    for point in points:
        leaves = [Value(x) for x in point]
        root = ours(*leaves)
        root.backward()
        expected = [float(grad(theirs, i)(*point)) for i in range(len(point))]
        assert root.data == pytest.approx(float(theirs(*point)), rel=1e-12, abs=1e-300)
        assert [leaf.grad for leaf in leaves] == pytest.approx(expected, rel=1e-10, abs=1e-300)


def test_every_method_that_makes_a_value_is_among_the_cases() -> None:
    unary = {
        name
        for name in vars(Value)
        if not name.startswith("_") and callable(getattr(Value, name)) and name != "backward"
    }
    assert unary <= CASES.keys()


def relu(x: Any) -> Any:
    return x.relu() if isinstance(x, Value) else anp.maximum(x, 0.0)


def sanity_check(x: Any) -> Any:
    z = 2 * x + 2 + x
    q = relu(z) + z * x
    return relu(z * z) + q + q * x


def more_operations(a: Any, b: Any) -> Any:
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + relu(b + a)
    d = d + 3 * d + relu(b - a)
    e = c - d
    f = e**2
    return f / 2.0 + 10.0 / f


@pytest.mark.parametrize(
    ("function", "point"), [(sanity_check, (-4.0,)), (more_operations, (-4.0, 2.0))]
)
def test_the_graphs_of_micrograds_tests(
    function: Callable[..., Any], point: tuple[float, ...]
) -> None:
    leaves = [Value(x) for x in point]
    root = function(*leaves)
    root.backward()
    expected = [float(grad(function, i)(*point)) for i in range(len(point))]
    assert root.data == pytest.approx(float(function(*point)), rel=1e-15)
    assert [leaf.grad for leaf in leaves] == pytest.approx(expected, rel=1e-15)
