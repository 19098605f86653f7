"""Values: numbers, gradients, graphs of any depth, and errors that name the operation."""

from __future__ import annotations

import gc
import math
import weakref
from fractions import Fraction

import numpy as np
import pytest

from engine import Value
from engine.autograd.value import log_sum_exp, softmax


def gradients(root: Value, *leaves: Value) -> list[float]:
    root.backward()
    return [leaf.grad for leaf in leaves]


def test_the_expression_of_micrograds_readme() -> None:
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


def test_the_neuron_of_the_lecture() -> None:
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    n = x1 * w1 + x2 * w2 + b
    n.label = "n"
    o = n.tanh()
    assert gradients(o, x2, w2, x1, w1) == pytest.approx([0.5, 0.0, -1.5, 1.0], abs=1e-12)
    assert (x1.label, n.label) == ("x1", "n")


def test_tanh_composed_from_exp_gives_the_same_gradients() -> None:
    def neuron(composed: bool) -> list[float]:
        x1, x2, w1, w2 = Value(2.0), Value(0.0), Value(-3.0), Value(1.0)
        n = x1 * w1 + x2 * w2 + 6.8813735870195432
        e = (2 * n).exp()
        o = (e - 1) / (e + 1) if composed else n.tanh()
        return gradients(o, x1, x2, w1, w2)

    assert neuron(composed=True) == pytest.approx(neuron(composed=False), abs=1e-12)


def test_one_value_used_twice_gets_both_gradients() -> None:
    a = Value(3.0)
    assert gradients(a + a, a) == [2.0]
    b, c = Value(-2.0), Value(3.0)
    assert gradients((b * c) * (b + c), b, c) == [-3.0, -8.0]


def test_backward_by_hand_as_in_the_lecture() -> None:
    a, b = Value(2.0), Value(-3.0)
    product = a * b
    out = product.tanh()
    out.grad = 1.0
    out._backward()
    product._backward()
    assert a.grad == pytest.approx(-3.0 * (1 - math.tanh(-6.0) ** 2))
    assert product._prev == (a, b)
    assert (product._op, a._op, a._prev) == ("*", "", ())


def test_an_operation_of_your_own_takes_part() -> None:
    def cube(x: Value) -> Value:
        out = Value(x.data**3, (x,), "cube")

        def _backward() -> None:
            x.grad += 3 * x.data**2 * out.grad

        out._backward = _backward
        return out

    x = Value(2.0)
    assert gradients(5 * cube(x) + x, x) == [61.0]


def test_backward_twice_adds_exactly_twice_the_gradient() -> None:
    x = Value(3.0)
    y = x * x * x
    y.backward()
    assert x.grad == 27.0
    y.backward()
    assert x.grad == 54.0
    x.grad = 0.0
    y.backward()
    assert x.grad == 27.0


def test_backward_on_a_leaf_is_one() -> None:
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0


def test_a_graph_a_hundred_thousand_nodes_deep() -> None:
    x = Value(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert (y.data, x.grad) == (100_001.0, 1.0)


def test_a_deep_graph_that_doubles_at_every_node() -> None:
    x = Value(1.0)
    y = x
    for _ in range(1000):
        y = y + y
    y.backward()
    assert x.grad == 2.0**1000


def test_a_graph_is_freed_when_its_root_is() -> None:
    class Watched(Value):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        x = Watched(2.0)
        root = (x * x).tanh() + 1
        root.backward()
        gone = weakref.ref(x)
        del x, root
        assert gone() is None
    finally:
        gc.enable()


def test_plain_floats_inside() -> None:
    x = Value(np.float32(2.0))
    y = x * np.int64(3) + np.float64(1.0) - True
    assert type(x.data) is float
    assert type(y.data) is float
    assert y.data == 6.0
    assert [type(child.data) for child in y._prev] == [float, float]
    assert (Value(Fraction(1, 4)) * Fraction(1, 2)).data == 0.125


def test_numpy_numbers_on_the_left() -> None:
    x = Value(2.0)
    for y in (np.int64(3) * x, np.float64(3.0) * x, np.float32(3.0) * x):
        assert isinstance(y, Value)
        assert (y.data, type(y.data)) == (6.0, float)
        assert gradients(y, x) == [3.0]
        x.grad = 0.0


@pytest.mark.parametrize("other", ["1", None, [1.0], 1j])
def test_what_is_not_a_number_is_a_type_error(other: object) -> None:
    x = Value(1.0)
    with pytest.raises(TypeError):
        x + other  # type: ignore[operator]
    with pytest.raises(TypeError):
        other * x  # type: ignore[operator]
    with pytest.raises(TypeError):
        x**other  # type: ignore[operator]
    with pytest.raises(TypeError):
        x.maximum(other)  # type: ignore[arg-type]


def test_reflected_operators() -> None:
    x = Value(4.0)
    assert gradients(1 + x, x) == [1.0]
    assert gradients(10 - x, x) == [0.0]
    assert gradients(3 * x, x) == [3.0]
    assert gradients(8 / x, x) == [2.5]
    assert gradients(2**x, x) == [2.5 + 16 * math.log(2)]
    assert [y.data for y in (1 + x, 10 - x, 3 * x, 8 / x, 2**x)] == [5, 6, 12, 2, 16]


def test_in_place_operators_make_new_values() -> None:
    x = Value(2.0)
    y = x
    y += 1
    y *= 2
    y -= 3
    y /= 4
    y **= 2
    assert x.data == 2.0
    assert y.data == ((2 + 1) * 2 - 3) ** 2 / 16
    assert gradients(y, x) == [2 * 0.75 * 0.5]


def test_sum_of_values() -> None:
    xs = [Value(1.0), Value(2.0), Value(3.0)]
    total = sum(xs)
    assert isinstance(total, Value)
    assert total.data == 6.0
    assert gradients(total, *xs) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("x", [-1000.0, 1000.0])
def test_nothing_overflows_at_a_thousand(x: float) -> None:
    for name, value, slope in (
        ("tanh", math.copysign(1.0, x), 0.0),
        ("sigmoid", float(x > 0), 0.0),
        ("softplus", max(x, 0.0), float(x > 0)),
    ):
        leaf = Value(x)
        y = getattr(leaf, name)()
        assert y.data == value
        assert gradients(y, leaf) == [slope]


def test_exp_of_a_thousand_is_infinite_not_an_error() -> None:
    assert Value(1000.0).exp().data == math.inf


def test_log_sum_exp_and_softmax_at_a_thousand() -> None:
    xs = [Value(1000.0), Value(-1000.0), Value(1000.0)]
    total = log_sum_exp(xs)
    assert total.data == 1000.0 + math.log(2)
    assert gradients(total, *xs) == pytest.approx([0.5, 0.0, 0.5], abs=1e-12)
    assert [p.data for p in softmax(xs)] == pytest.approx([0.5, 0.0, 0.5], abs=1e-12)


@pytest.mark.parametrize("offset", [1e3, -1e9, 1e16, -1e300])
def test_softmax_keeps_its_digits_at_a_large_common_offset(offset: float) -> None:
    xs = [Value(offset), Value(offset), Value(offset)]
    first, *_ = softmax(xs)
    assert first.data == pytest.approx(1.0 / 3.0, rel=1e-15)
    assert gradients(first, *xs) == pytest.approx([2.0 / 9.0, -1.0 / 9.0, -1.0 / 9.0], rel=1e-14)


def test_softmax_sums_to_one_and_so_does_not_move_with_its_inputs() -> None:
    xs = [Value(0.3), Value(-1.2), Value(2.0)]
    total = sum(softmax(xs))
    assert isinstance(total, Value)
    assert total.data == pytest.approx(1.0, abs=1e-15)
    assert gradients(total, *xs) == pytest.approx([0.0, 0.0, 0.0], abs=1e-15)


def test_log_sum_exp_beyond_the_numbers() -> None:
    assert log_sum_exp([Value(math.inf), Value(1.0)]).data == math.inf
    assert log_sum_exp([Value(-math.inf), Value(-math.inf)]).data == -math.inf
    assert math.isnan(log_sum_exp([Value(1.0), Value(math.nan)]).data)
    with pytest.raises(ValueError, match="log_sum_exp of no values"):
        log_sum_exp([])


def test_subgradients_at_kinks_follow_pytorch() -> None:
    x = Value(0.0)
    assert gradients(x.relu(), x) == [0.0]
    assert gradients(abs(x), x) == [0.0]
    x.grad = 0.0
    assert gradients(x.leaky_relu(0.1), x) == [0.1]
    a, b = Value(2.0), Value(2.0)
    assert gradients(a.maximum(b), a, b) == [0.5, 0.5]
    a.grad = 0.0
    assert gradients(a.maximum(a), a) == [1.0]


def test_power_at_its_edges_follows_pytorch() -> None:
    zero = Value(0.0)
    assert gradients(zero**0, zero) == [0.0]
    assert gradients(zero**1, zero) == [1.0]
    base, exponent = Value(0.0), Value(2.0)
    assert gradients(base**exponent, base, exponent) == [0.0, 0.0]
    base, exponent = Value(-2.0), Value(3.0)
    root = base**exponent
    root.backward()
    assert base.grad == 12.0
    assert math.isnan(exponent.grad)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (lambda: Value(-1.0).log(), "log of -1.0"),
        (lambda: Value(0.0).log(), "log of 0.0"),
        (lambda: Value(-4.0).sqrt(), "sqrt of -4.0"),
        (lambda: Value(0.0) ** -1, r"0.0 \*\* -1.0"),
        (lambda: Value(0.0) ** Value(-1.0), r"0.0 \*\* -1.0"),
        (lambda: Value(-8.0) ** 0.5, r"-8.0 \*\* 0.5"),
        (lambda: (-8.0) ** Value(0.5), r"-8.0 \*\* 0.5"),
        (lambda: Value(1.0) / 0, r"1.0 / 0.0"),
        (lambda: 1 / Value(0.0), r"1.0 / 0.0"),
    ],
)
def test_domain_errors_name_operation_and_value(operation: object, words: str) -> None:
    assert callable(operation)
    with pytest.raises((ValueError, ZeroDivisionError), match=words):
        operation()


def test_the_same_graph_gives_the_same_bits_in_any_process() -> None:
    """Operands are tuples: with sets, the order of sums would depend on addresses."""
    values = [Value(0.1 * i) for i in range(50)]
    y = values[0]
    for i, v in enumerate(values):
        y = (y * v + values[(7 * i) % 50]).tanh() + values[(3 * i) % 50] * y
    y.backward()
    assert y._prev[0]._op == "tanh"
    first = [v.grad for v in values]
    for v in values:
        v.grad = 0.0
    y.backward()
    assert [v.grad for v in values] == first


def test_repr() -> None:
    assert repr(Value(2)) == "Value(data=2.0, grad=0.0)"


@pytest.mark.parametrize(
    ("x", "number", "slope"),
    [
        (-1.0, -0.15865525393145705, -0.083315470587686305),
        (-5.0, -1.4332578593959696e-6, -7.1469460017922946e-6),
        (-8.0, -4.9767684594174273e-15, -3.979607261086796e-14),
        (-10.0, -7.6198530241605261e-23, -7.6184000964648141e-22),
        (-20.0, -5.5072482372124674e-88, -1.1014360483133464e-86),
        (-36.123456789, -1.7548753110827871e-284, -6.3392088296191488e-283),
        (-37.4, -7.3067690405672312e-305, -2.7327288376572621e-303),
        (-50.0, 0.0, 0.0),
    ],
)
def test_gelu_keeps_its_digits_in_the_tail(x: float, number: float, slope: float) -> None:
    """The numbers come from a continued fraction with 60 digits."""
    leaf = Value(x)
    y = leaf.gelu()
    y.backward()
    assert y.data == pytest.approx(number, rel=1e-14, abs=0.0)
    assert leaf.grad == pytest.approx(slope, rel=1e-14, abs=0.0)
