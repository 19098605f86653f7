"""Every operation of a Value, run by the kernels: numbers, gradients, ties, extremes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from engine import Value
from engine.autograd.gradcheck import check_program
from engine.autograd.value import log_sum_exp, softmax
from engine.compiler.program import Op
from engine.compiler.record import ELEMENTWISE
from engine.native.kernels.elementwise import TABLE
from tests.engine.native_graphs import native_function, run_both

ANY = np.concatenate(
    [np.linspace(-40.0, 40.0, 37), np.linspace(-1.5, 1.5, 21), [1e-8, -1e-8, 1e-300]]
)
POSITIVE = np.concatenate([10.0 ** np.linspace(-12, 12, 33), [1.0, 0.5]])

UNARY: dict[str, tuple[Callable[[Value], Value], np.ndarray]] = {
    "exp": (Value.exp, ANY),
    "log": (Value.log, POSITIVE),
    "sqrt": (Value.sqrt, POSITIVE),
    "sin": (Value.sin, np.concatenate([ANY, [1e5, -3e8, 1e12, 1e22]])),
    "cos": (Value.cos, np.concatenate([ANY, [1e5, -3e8, 1e12, 1e22]])),
    "tanh": (Value.tanh, ANY),
    "sigmoid": (Value.sigmoid, ANY),
    "softplus": (Value.softplus, ANY),
    "relu": (Value.relu, ANY),
    "leaky_relu": (lambda x: x.leaky_relu(0.2), ANY),
    "leaky_relu, negative slope": (lambda x: x.leaky_relu(-0.3), ANY),
    "gelu": (Value.gelu, ANY[ANY > -2]),
    "abs": (Value.abs, ANY),
    "**2": (lambda x: x**2, ANY),
    "**3": (lambda x: x**3, ANY),
    "**-1": (lambda x: x**-1, POSITIVE[np.abs(np.log(POSITIVE)) < 100]),
    "**0.5": (lambda x: x**0.5, POSITIVE),
    "**2.5": (lambda x: x**2.5, POSITIVE[POSITIVE > 1e-100]),
    "**0": (lambda x: x**0, ANY),
    "2**": (lambda x: 2.0**x, ANY),
    "1/": (lambda x: 1.0 / x, POSITIVE[POSITIVE > 1e-100]),
    "max with a number": (lambda x: x.maximum(0.5), ANY),
}


@pytest.mark.parametrize("name", UNARY)
def test_an_operation_of_one_operand(name: str) -> None:
    """Behind a multiplication, so that it may run in place, and in front of one."""
    function, numbers = UNARY[name]
    rows = [[float(x)] for x in numbers]
    assert run_both(lambda p, x: p[1] * function(p[0] * x[0]), [1.0, 0.7], rows).agree()


@pytest.mark.parametrize("name", UNARY)
def test_finite_differences_of_an_operation_of_one_operand(name: str) -> None:
    function, numbers = UNARY[name]
    away_from_kinks = [[float(x)] for x in numbers if 0.01 < abs(x) < 3 and abs(x - 0.5) > 0.01]
    assert check_program(
        native_function(lambda p, x: function(p[0] * x[0]), [1.0], away_from_kinks), [1.0]
    )


BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "max": Value.maximum,
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("use", ["both per example", "left once", "right once", "the same"])
def test_an_operation_of_two_operands(name: str, use: str) -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        left = p[0] * x[0] if use != "left once" else p[0].exp()
        right = p[1] * x[1] if use != "right once" else p[1].exp()
        return BINARY[name](left, left if use == "the same" else right).tanh() * p[2]

    rows = [[a, b] for a in (0.1, 0.5, 1.0, 2.0) for b in (0.2, 0.5, 1.5)]
    assert run_both(expression, [1.0, 1.0, 0.3], rows).agree()
    if name != "max":  # which has a kink where its operands are the same
        shifted = [[a * 1.01, b] for a, b in rows]
        native = native_function(expression, [1.0, 1.0, 0.3], shifted)
        assert check_program(native, [1.1, 0.9, 0.3])


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_log_sum_exp_and_softmax(count: int) -> None:
    rows = [[float(i * k % 7 - 3) for k in range(count)] for i in range(11)]
    rows.append([1000.0] * count)
    rows.append([-1000.0 * k for k in range(count)])
    p = [1.0] * count

    def terms(p: Sequence[Value], x: Sequence[Value]) -> list[Value]:
        return [pi * xi for pi, xi in zip(p, x, strict=True)]

    assert run_both(lambda p, x: log_sum_exp(terms(p, x)), p, rows).agree()
    assert run_both(lambda p, x: softmax(terms(p, x))[0] * p[0], p, rows[:11]).agree()
    assert check_program(native_function(lambda p, x: log_sum_exp(terms(p, x)), p, rows[:11]), p)


def test_gelu_keeps_its_digits_where_the_tail_is_thin() -> None:
    numbers = [-0.1 * i for i in range(1, 300)]
    native = native_function(lambda p, x: (p[0] * x[0]).gelu(), [1.0], [[x] for x in numbers])
    expected = [0.5 * x * math.erfc(-x / math.sqrt(2)) for x in numbers]
    assert native.losses([1.0]).tolist() == pytest.approx(expected, rel=1e-12, abs=1e-300)


def test_logarithms_of_numbers_below_the_normal_range() -> None:
    numbers = [2.0**-1023, 3e-310, 5e-324]
    native = native_function(lambda p, x: (p[0] * x[0]).log(), [1.0], [[x] for x in numbers])
    assert native.losses([1.0]).tolist() == pytest.approx([math.log(x) for x in numbers], rel=1e-15)


@pytest.mark.parametrize(
    ("name", "number", "slope"),
    [
        ("relu", 0.0, 0.0),
        ("abs", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.2),
        ("max with a number", 0.5, 0.5),
    ],
)
def test_ties(name: str, number: float, slope: float) -> None:
    """Subgradients are PyTorch's, as in the scalar engine."""
    function, _ = UNARY[name]
    native = native_function(lambda p, x: function(p[0] + x[0]), [number], [[0.0]])
    assert native.gradient([number]).tolist() == [slope]


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("number", [1000.0, -1000.0])
def test_no_overflow_far_out(name: str, number: float) -> None:
    function, _ = UNARY[name]
    both = run_both(lambda p, x: function(p[0] * x[0]), [1.0], [[number]])
    assert both.native_losses.tolist() == both.losses.tolist()
    assert both.native_gradient.tolist() == both.gradient.tolist()


@pytest.mark.parametrize("name", sorted(UNARY.keys() - {"**0", "max with a number"}))
def test_nan_stays_nan(name: str) -> None:
    """A number that is none must reach the loss, where training looks for it."""
    function, _ = UNARY[name]
    native = native_function(lambda p, x: function(p[0] * x[0]), [1.0], [[1.0], [math.nan]])
    losses = native.losses([1.0])
    assert math.isfinite(losses[0])
    assert math.isnan(losses[1])


def test_every_elementwise_operation_has_a_kernel() -> None:
    known = {Op.CONSTANT_POWER, *ELEMENTWISE.values()} - {Op.LOG_SUM_EXP}
    assert known == set(TABLE)
