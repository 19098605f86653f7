"""Values together with other numbers, and Values used as numbers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from engine import Value, log_sum_exp, softmax
from engine.spec.loss import FORMULAS

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
SCALARS = [
    *(kind(3) for kind in (np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int64)),
    *(kind(3) for kind in (np.float16, np.float32, np.float64, np.longdouble)),
    *(np.bool_(True), True, 3, 3.0, Fraction(3, 2), np.int8(-128), np.uint8(255)),
]
NUMBERS = [*SCALARS, *(np.array(x) for x in SCALARS if isinstance(x, np.generic))]


def kind(x: Any) -> str:
    return f"{type(x).__name__} {getattr(x, 'dtype', '')} {x}"


@pytest.mark.parametrize("x", NUMBERS, ids=kind)
@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.filterwarnings("error")
def test_any_number_on_either_side_counts_as_its_float(
    operation: Callable[[Any, Any], Any], x: Any
) -> None:
    for left, right in ((2.0, x), (x, 2.0)):
        of_values = operation(*(Value(2.0) if side is not x else x for side in (left, right)))
        try:
            expected = operation(float(left), float(right))
        except OverflowError:
            expected = math.inf
        assert type(of_values) is Value
        assert type(of_values.data) is float
        assert of_values.data == expected


@pytest.mark.parametrize("x", NUMBERS, ids=kind)
def test_any_number_can_be_compared(x: Any) -> None:
    for comparison in COMPARISONS:
        for number in (2.0, float(x)):
            assert comparison(Value(number), x) == comparison(number, float(x))
            assert comparison(x, Value(number)) == comparison(float(x), number)
    assert Value(2.0).maximum(x).data == max(2.0, float(x))


@pytest.mark.parametrize("loss", FORMULAS)
@pytest.mark.parametrize("number", [np.uint8, np.uint64, np.int8, np.bool_, np.float32, bool, int])
def test_losses_read_labels_of_any_kind_of_number(loss: str, number: Callable[..., Any]) -> None:
    for label in (0, 1):
        outputs, targets = [Value(0.25)], [float(label)]
        if loss == "cross_entropy":
            outputs, targets = [Value(0.25), Value(-1.0)], [float(label), float(1 - label)]
        expected = FORMULAS[loss](outputs, targets)
        found = FORMULAS[loss](outputs, [number(target) for target in targets])
        assert found.data == expected.data


def test_arrays_of_numbers_become_arrays_of_values() -> None:
    numbers = np.array([1, 2], np.uint8)
    for values, expected in (
        (Value(3.0) - numbers, [2.0, 1.0]),
        (numbers - Value(3.0), [-2.0, -1.0]),
        (numbers * Value(3.0), [3.0, 6.0]),
    ):
        assert [type(v) for v in values] == [Value, Value]
        assert [v.data for v in values] == expected


@pytest.mark.parametrize("slope", [np.float32(0.1), np.float16(0.5), np.uint8(2), 1])
def test_constants_of_operations_keep_double_precision(slope: Any) -> None:
    x = Value(-3.0)
    y = x.leaky_relu(slope)
    assert (y.data, type(y.data)) == (float(slope) * -3.0, float)
    z = Value(3.0) ** slope
    z.backward()
    assert (z.data, type(z.data)) == (3.0 ** float(slope), float)


def test_data_and_grad_stay_floats_of_double_precision() -> None:
    p = Value(0.1)
    for new in (np.float32(0.25), 3, True, np.uint8(7), Fraction(1, 3), Decimal("0.1")):
        p.data = new
        p.grad = new
        assert (type(p.data), type(p.grad)) == (float, float)
        assert p.data == p.grad == float(new)
    p.grad = 1.0
    p.data -= np.float32(0.01) * p.grad
    assert type((p * 3).data) is float
    p.grad += np.float32(0.5)
    assert type(p.grad) is float


NO_NUMBERS = [None, "3", b"3", 1j, np.complex64(1), [1.0], np.ones(1), np.str_("3"), Value(1.0)]


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=kind)
def test_what_is_not_one_real_number_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a Value must be one real number, not"):
        Value(wrong)
    x = Value(1.0)
    with pytest.raises(TypeError, match="data must be one real number, not"):
        x.data = wrong
    with pytest.raises(TypeError, match="grad must be one real number, not"):
        x.grad = wrong
    assert (x.data, x.grad) == (1.0, 0.0)


@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.parametrize(
    "wrong",
    [None, "a", [1.0], (1.0,), b"a", 1j, {}, object()],
    ids=lambda wrong: type(wrong).__name__,
)
def test_operators_name_both_types(operation: Callable[[Any, Any], Any], wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"unsupported operand.*Value"):
        operation(Value(1.0), wrong)
    with pytest.raises(TypeError, match="Value"):
        operation(wrong, Value(1.0))


def test_an_equal_number_is_equal_but_each_value_is_a_key_of_its_own() -> None:
    a, b = Value(1.0), Value(1.0)
    assert a == b
    assert a == 1.0
    assert 1 == a  # noqa: SIM300
    assert a != 2.0
    assert (a == None, a == "1") == (False, False)  # noqa: E711
    assert Value(math.nan) != Value(math.nan)
    assert len({a, b}) == 2
    assert {a: "a", b: "b"}[a] == "a"
    assert Value(2.0**53) != 2**53 + 1


def test_order_and_truth_are_those_of_the_number() -> None:
    assert Value(1.0) < 2 <= Value(2.0) < Value(3.0)
    assert max(Value(1.0), Value(2.0)).data == 2.0
    assert [v.data for v in sorted([Value(2.0), Value(-1.0)])] == [-1.0, 2.0]
    assert not Value(0.0)
    assert not Value(-0.0)
    assert Value(math.nan)
    with pytest.raises(TypeError, match="'<' not supported"):
        _ = Value(1.0) < "2"  # type: ignore[operator]


def test_conversions_and_formats() -> None:
    x = Value(2.6)
    assert (float(x), int(x), math.floor(x)) == (2.6, 2, 2)
    assert (f"{x:.3f}", f"{x:8.1e}", f"{x}") == ("2.600", " 2.6e+00", repr(x))
    assert np.array([x, x], float).tolist() == [2.6, 2.6]


def test_plus_hands_the_gradient_on() -> None:
    x = Value(2.0)
    (+x * 3).backward()
    assert x.grad == 3.0


@pytest.mark.parametrize("make", [iter, tuple, lambda vs: (v for v in vs), np.array])
def test_operations_of_many_values_read_any_iterable(make: Callable[..., Any]) -> None:
    xs = [Value(1.0), Value(2.0)]
    log_sum_exp(make(xs)).backward()
    assert [x.grad for x in xs] == pytest.approx([1 / (1 + math.e), 1 / (1 + math.exp(-1))])
    assert [p.data for p in softmax(make(xs))] == pytest.approx([x.grad for x in xs])


@pytest.mark.parametrize("operation", [log_sum_exp, softmax])
def test_operations_of_many_values_name_what_is_not_one(operation: Callable[..., Any]) -> None:
    name = operation.__name__
    with pytest.raises(TypeError, match=f"{name} needs Values, but item 0 is a float"):
        operation([1.0, Value(2.0)])
    with pytest.raises(ValueError, match=f"{name} of no values"):
        operation(iter([]))
    with pytest.raises(TypeError, match="'Value' object is not iterable"):
        operation(Value(1.0))
