"""One scalar, its gradient, and how it was made.

A `Value` remembers the operation and the operands that produced it, so an expression
written in plain Python is also a graph. `backward()` walks that graph from the result to
the leaves and applies the chain rule once a node.

Every operation is the same short block: coerce the operand, compute the number, attach the
rule that carries the gradient back. A rule is a plain function of the node, not a closure
over it: nodes then hold no reference cycle and a graph is freed as soon as its root is.

Formulas, ties and subgradients follow PyTorch: relu and abs have gradient 0 at 0, maximum
splits the gradient of a tie in two halves, gelu is the erf form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsFloat, cast

Number = float | int
Rule = Callable[["Value"], None]

SQRT_HALF = math.sqrt(0.5)
INVERSE_SQRT_TAU = 1.0 / math.sqrt(2.0 * math.pi)


class Value:
    """A scalar node of an expression graph.

    Attributes:
        data: the number, always a Python float (float64).
        grad: d(root)/d(this), valid after `root.backward()`; sums up over calls on leaves.
        label: a name for drawings.

    `_prev` holds the operands in order, `_op` the operation's symbol; `_arg` is the constant
    of an operation that has one (the exponent of `x ** 2`, the slope of `leaky_relu`).
    """

    __slots__ = ("_arg", "_op", "_prev", "_rule", "data", "grad", "label")

    data: float
    grad: float
    label: str
    _prev: tuple[Value, ...]
    _op: str
    _rule: Rule
    _arg: float

    def __init__(
        self,
        data: SupportsFloat,
        _children: Iterable[Value] = (),
        _op: str = "",
        label: str = "",
    ) -> None:
        self.data = data if type(data) is float else float(data)
        self.grad = 0.0
        self.label = label
        self._prev = tuple(_children)
        self._op = _op
        self._rule = _leaf

    def __add__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        return _node(self.data + other.data, (self, other), "+", _add)

    def __mul__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        return _node(self.data * other.data, (self, other), "*", _mul)

    def __truediv__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        if other.data == 0.0:
            raise ZeroDivisionError(f"division by zero: {self.data!r} / {other.data!r}")
        return _node(self.data / other.data, (self, other), "/", _div)

    def __pow__(self, other: Value | Number) -> Value:
        if type(other) is Value:
            return _node(power(self.data, other.data), (self, other), "**", _pow)
        if not isinstance(other, (int, float)):
            return NotImplemented
        exponent = float(other)
        out = _node(power(self.data, exponent), (self,), f"**{other}", _pow_constant)
        out._arg = exponent
        return out

    def exp(self) -> Value:
        return _node(exp(self.data), (self,), "exp", _exp)

    def log(self) -> Value:
        """Natural logarithm. Raises ValueError at or below zero."""
        if self.data <= 0.0:
            raise ValueError(f"log of {self.data!r} is not defined: the value must be above zero")
        return _node(math.log(self.data), (self,), "log", _log)

    def sqrt(self) -> Value:
        """Square root. Raises ValueError below zero."""
        if self.data < 0.0:
            raise ValueError(f"sqrt of {self.data!r} is not defined: the value is negative")
        return _node(math.sqrt(self.data), (self,), "sqrt", _sqrt)

    def sin(self) -> Value:
        return _node(sin(self.data), (self,), "sin", _sin)

    def cos(self) -> Value:
        return _node(cos(self.data), (self,), "cos", _cos)

    def tanh(self) -> Value:
        return _node(math.tanh(self.data), (self,), "tanh", _tanh)

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x)), without overflow for any x."""
        return _node(sigmoid(self.data), (self,), "sigmoid", _sigmoid)

    def softplus(self) -> Value:
        """log(1 + exp(x)), without overflow for any x."""
        return _node(softplus(self.data), (self,), "softplus", _softplus)

    def relu(self) -> Value:
        x = self.data
        return _node(0.0 if x <= 0.0 else x, (self,), "ReLU", _relu)

    def leaky_relu(self, slope: float = 0.01) -> Value:
        x = self.data
        out = _node(x if x > 0.0 else slope * x, (self,), "leaky_relu", _leaky_relu)
        out._arg = float(slope)
        return out

    def gelu(self) -> Value:
        """x * Phi(x) with the normal distribution function Phi (the erf form)."""
        return _node(self.data * normal_cdf(self.data), (self,), "gelu", _gelu)

    def abs(self) -> Value:
        return _node(math.fabs(self.data), (self,), "abs", _abs)

    def maximum(self, other: Value | Number) -> Value:
        """The larger of two; on a tie each side gets half of the gradient."""
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                raise TypeError(f"maximum of a Value and {type(other).__name__}")
        a, b = self.data, other.data
        return _node(a if a >= b or a != a else b, (self, other), "max", _maximum)

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Value | Number) -> Value:
        return self + (-other)

    def __radd__(self, other: Number) -> Value:
        return self + other

    def __rsub__(self, other: Number) -> Value:
        return other + (-self)

    def __rmul__(self, other: Number) -> Value:
        return self * other

    def __rtruediv__(self, other: Number) -> Value:
        return Value(other) / self

    def __rpow__(self, other: Number) -> Value:
        return Value(other) ** self

    def __abs__(self) -> Value:
        return self.abs()

    def _backward(self) -> None:
        """Adds this node's share of the gradient to its operands."""
        self._rule(self)

    def backward(self) -> None:
        """Computes d(self)/d(node) into `grad` of every node that self depends on.

        Leaves accumulate: two calls without zeroing between give exactly twice the gradient.
        Inner nodes start at zero in each call, so they never count an earlier call again.
        """
        order = topological_order(self)
        for node in order:
            if node._prev:
                node.grad = 0.0
        self.grad += 1.0
        for node in reversed(order):
            node._rule(node)

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"


def topological_order(root: Value) -> list[Value]:
    """Every node that `root` depends on, operands before results, left operands first.

    The order depends on the graph alone, so sums are formed in the same order in every run.
    Iterative: a graph may be deeper than Python's stack.
    """
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[Value] = [root]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        if not node._prev:
            seen.add(node)
            order.append(node)
            continue
        waiting = [child for child in node._prev if child not in seen]
        if waiting:
            stack.append(node)
            waiting.reverse()
            stack += waiting
        else:
            seen.add(node)
            order.append(node)
    return order


def log_sum_exp(values: Sequence[Value]) -> Value:
    """log Σ exp(vᵢ), one node of n operands, without overflow for any vᵢ.

    The largest is taken out first: m + log Σ exp(vᵢ - m).
    """
    if not values:
        raise ValueError("log_sum_exp of no values is not defined")
    numbers = [v.data for v in values]
    top = max(numbers)
    if math.isfinite(top):
        data = top + math.log(sum(exp(x - top) for x in numbers))
    else:
        data = sum(numbers) if any(x != x for x in numbers) else top
    return _node(data, tuple(values), "logsumexp", _log_sum_exp)


def softmax(values: Sequence[Value]) -> list[Value]:
    """exp(vᵢ) / Σ exp(vⱼ), without overflow for any vᵢ."""
    total = log_sum_exp(values)
    return [(v - total).exp() for v in values]


_new: Callable[[type[Value]], Value] = object.__new__


def _node(data: float, prev: tuple[Value, ...], op: str, rule: Rule) -> Value:
    # Value(...) would coerce and copy again what is known to be right here.
    out = _new(Value)
    out.data = data
    out.grad = 0.0
    out.label = ""
    out._prev = prev
    out._op = op
    out._rule = rule
    return out


def _as_value(other: Any) -> Value:
    """`other` as a Value; NotImplemented, as operators must answer, when it is no number."""
    if isinstance(other, (int, float)):
        return Value(other)
    return other if isinstance(other, Value) else cast("Value", NotImplemented)


# Numbers: the forward formulas that need care.


def exp(x: float) -> float:
    """e**x; infinity where math.exp would raise."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def power(base: float, exponent: float) -> float:
    """base**exponent as C's pow gives it; ValueError where no real number is the answer."""
    if base == 0.0 and exponent < 0.0:
        raise ZeroDivisionError(f"power is not defined: {base!r} ** {exponent!r} divides by zero")
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent % 2.0 == 1.0
        return -math.inf if base < 0.0 and odd else math.inf
    except ValueError:
        raise ValueError(
            f"power is not defined: {base!r} ** {exponent!r} is not a real number"
        ) from None


def sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-math.fabs(x)))


def normal_cdf(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x * SQRT_HALF))


def sin(x: float) -> float:
    """NaN at infinity, where math.sin would raise."""
    return math.sin(x) if math.isfinite(x) else math.nan


def cos(x: float) -> float:
    """NaN at infinity, where math.cos would raise."""
    return math.cos(x) if math.isfinite(x) else math.nan


# Rules: how each operation hands its gradient to its operands.


def _leaf(out: Value) -> None:
    pass


def _add(out: Value) -> None:
    a, b = out._prev
    g = out.grad
    a.grad += g
    b.grad += g


def _mul(out: Value) -> None:
    a, b = out._prev
    g = out.grad
    a.grad += b.data * g
    b.grad += a.data * g


def _div(out: Value) -> None:
    a, b = out._prev
    g = out.grad / b.data
    a.grad += g
    b.grad -= g * out.data


def _pow(out: Value) -> None:
    base, exponent = out._prev
    x, y, g = base.data, exponent.data, out.grad
    if y != 0.0:
        base.grad += g * y * power_slope(x, y)
    if x > 0.0:
        exponent.grad += g * out.data * math.log(x)
    elif not (x == 0.0 and y >= 0.0):
        exponent.grad += math.nan


def _pow_constant(out: Value) -> None:
    (base,) = out._prev
    y = out._arg
    if y != 0.0:
        base.grad += out.grad * y * power_slope(base.data, y)


def power_slope(x: float, y: float) -> float:
    """x**(y - 1); infinity at zero for exponents below one, as the limit is."""
    return math.inf if x == 0.0 and y < 1.0 else power(x, y - 1.0)


def _exp(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.data * out.grad


def _log(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.grad / a.data


def _sqrt(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.grad / (2.0 * out.data) if out.data else math.copysign(math.inf, out.grad)


def _sin(out: Value) -> None:
    (a,) = out._prev
    a.grad += cos(a.data) * out.grad


def _cos(out: Value) -> None:
    (a,) = out._prev
    a.grad -= sin(a.data) * out.grad


def _tanh(out: Value) -> None:
    (a,) = out._prev
    a.grad += (1.0 - out.data * out.data) * out.grad


def _sigmoid(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.data * (1.0 - out.data) * out.grad


def _softplus(out: Value) -> None:
    (a,) = out._prev
    a.grad += sigmoid(a.data) * out.grad


def _relu(out: Value) -> None:
    if out.data > 0.0:
        out._prev[0].grad += out.grad


def _leaky_relu(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.grad if a.data > 0.0 else out._arg * out.grad


def _gelu(out: Value) -> None:
    (a,) = out._prev
    x = a.data
    density = INVERSE_SQRT_TAU * exp(-0.5 * x * x)
    a.grad += (normal_cdf(x) + x * density) * out.grad


def _abs(out: Value) -> None:
    (a,) = out._prev
    if a.data != 0.0:
        a.grad += math.copysign(out.grad, a.data * out.grad) if out.grad else 0.0


def _log_sum_exp(out: Value) -> None:
    for a in out._prev:
        a.grad += exp(a.data - out.data) * out.grad


def _maximum(out: Value) -> None:
    a, b = out._prev
    if a.data == b.data:
        a.grad += 0.5 * out.grad
        b.grad += 0.5 * out.grad
    elif a.data > b.data:
        a.grad += out.grad
    else:
        b.grad += out.grad
