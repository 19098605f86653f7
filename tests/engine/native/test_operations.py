"""Every operation of a Value, run by the kernels: numbers, gradients, ties and extremes."""

from __future__ import annotations

import ast
import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext

import numpy as np
import pytest

from engine import Value
from engine.autograd.gradcheck import check_program
from engine.autograd.value import log_sum_exp, softmax
from engine.compiler.instructions import Field
from engine.compiler.operations import ELEMENTWISE, Op
from engine.native.kernels import rules
from engine.native.kernels.elementwise import TABLE, functions_of
from tests.engine.native_graphs import Expression, native_function, run_both

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
    "gelu": (Value.gelu, ANY[ANY > -2]),  # further left see below
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
    """The operation follows a multiplication, so that it may run in place, and precedes one."""
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
    if name != "max":  # max has a kink where its operands are equal
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


@pytest.mark.parametrize("offset", [3e3, -1e9, 1e16])
def test_softmax_at_a_large_common_offset(offset: float) -> None:
    both = run_both(
        lambda p, x: softmax([p[0] + x[0], p[1] + x[0], p[2] + x[0]])[0],
        [offset, offset, offset + 2.0],
        [[0.0], [1024.0]],
    )
    assert both.agree()
    native = native_function(
        lambda p, x: softmax([p[0] + x[0], p[1] + x[0]])[0], [offset, offset], [[0.0]]
    )
    assert native.loss([offset, offset]) == 0.5
    assert native.gradient([offset, offset]).tolist() == [0.25, -0.25]


PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534"
    "2117067982148086513282306647093844609550582231725359408128481117450284102701938521105559644622"
    "9489549303819644288109756659334461284756482337867831652712019091456485669234603486104543266482"
    "1339360726024914127372458700660631558817488152092096282925409171536436789259036001133053054882"
)


@pytest.mark.parametrize("offset", [3e3, 1e6, -1e9, 1e12, 1e16, -1e300])
def test_the_slopes_of_log_sum_exp_at_a_large_common_offset(offset: float) -> None:
    native = native_function(lambda p, x: log_sum_exp([p[0] + x[0], p[1] + x[0]]), [0.0] * 2, [[0]])
    slopes = native.gradient([offset, offset]).tolist()
    assert slopes == pytest.approx([0.5, 0.5], rel=1e-12)
    assert native.loss([offset, offset]) == pytest.approx(offset + math.log(2.0), rel=1e-15)


def exact_gelu(x: float) -> tuple[float, float]:
    """x·Φ(x) and Φ(x) + x·φ(x) by the series Φ(x) = ½ + φ(x)·Σ x²ⁿ⁺¹/(1·3·5···(2n+1)).

    Where Φ is 1e-320 the two terms cancel to 1e-320 of their size, which takes as many digits.
    """
    with localcontext(prec=365):
        number = Decimal(x)
        density = (-number * number / 2).exp() / (2 * PI).sqrt()
        term = total = number
        for odd in itertools.count(3, 2):
            term *= number * number / odd
            total += term
            if abs(term) < abs(total) * Decimal("1e-365"):
                break
        cdf = Decimal("0.5") + density * total
        return float(number * cdf), float(cdf + number * density)


def test_gelu_and_its_slope_keep_their_digits_everywhere() -> None:
    tails = [-0.73 * i for i in range(2, 52)]
    numbers = [*tails, -35.862371614739175, -37.7, -38.0, -38.4, -0.3, -1e-9, 1e-9, 0.7, 4.0, 9.0]
    exact = [exact_gelu(x) for x in numbers]
    native = native_function(lambda p, x: (p[0] * x[0]).gelu(), [1.0], [[x] for x in numbers])
    for got, (right, _) in zip(native.losses([1.0]).tolist(), exact, strict=True):
        assert abs(got - right) <= 4 * math.ulp(right)
    slope = native_function(lambda p, x: (p[0] + x[0] * 0.0).gelu(), [1.0], [[1.0]])
    for x, (_, right) in zip(numbers, exact, strict=True):
        assert abs(float(slope.gradient([x])[0]) - right) <= 6 * math.ulp(right)


def test_gelu_far_out() -> None:
    native = native_function(lambda p, x: (p[0] + x[0] * 0.0).gelu(), [1.0], [[1.0]])
    for x, right in ((-1e3, 0.0), (-1e300, 0.0), (1e300, 1e300), (math.inf, math.inf)):
        assert native.loss([x]) == right
    assert native.gradient([-1e300]).tolist() == [0.0]
    assert native.gradient([1e300]).tolist() == [1.0]


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
    """The subgradients are those of PyTorch, as in the scalar engine."""
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
    """NaN must reach the loss, because training looks for it there."""
    function, _ = UNARY[name]
    native = native_function(lambda p, x: function(p[0] * x[0]), [1.0], [[1.0], [math.nan]])
    losses = native.losses([1.0])
    assert math.isfinite(losses[0])
    assert math.isnan(losses[1])


def recorded(expression: Expression) -> set[int]:
    return set(native_function(expression, [0.5, 0.7], [[0.4]]).program.code[:, Field.OP].tolist())


def test_every_operation_has_a_scalar_and_a_native_half() -> None:
    """The tests above run an expression with each operation in both engines."""
    expressions: list[Expression] = [lambda p, x: log_sum_exp([p[0] * x[0], x[0]])]
    expressions += [lambda p, x, f=f: f(p[0] + x[0]) for f, _ in UNARY.values()]
    expressions += [lambda p, x, f=f: f(p[0] + x[0], p[1] * x[0]) for f in BINARY.values()]
    found = set().union(*map(recorded, expressions))
    assert found >= {Op.LOG_SUM_EXP, *ELEMENTWISE}
    assert set(TABLE) == set(ELEMENTWISE)


def test_an_operation_without_a_native_half_is_named() -> None:
    odd = int.__new__(Op, 99)
    odd._name_, odd._value_, odd.operands, odd.constant = "SINH", 99, 1, False
    with pytest.raises(NotImplementedError, match=r"rules\.py has no sinh and no sinh_rule for"):
        functions_of(odd)


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_rules_read_what_their_line_says(op: Op) -> None:
    if op is Op.LEAKY_RELU:
        return  # reads the operand's sign, which the result has too where it lies over it
    kinds = ["rule"] if op.operands == 1 else ["left_rule", "right_rule"]
    read: set[str] = set()
    for kind in kinds:
        rule = getattr(rules, f"{op.name.lower()}_{kind}")
        tree = ast.parse(inspect.getsource(rule)).body[0]
        assert isinstance(tree, ast.FunctionDef)
        loaded = [node for statement in tree.body for node in ast.walk(statement)]
        read |= {node.id for node in loaded if isinstance(node, ast.Name)}
    # The rule of a constant power passes y on to that of a power, whose base does not need it.
    reads_result = "y" in read and op is not Op.CONSTANT_POWER
    assert (bool({"x", "a", "b"} & read), reads_result) == (op.reads_operand, op.reads_result)
