"""Operations on scalars: the number that each computes, and the gradient of its operands.

An expression of Values written in plain Python is also a graph. `backward()` walks that graph
from the result to the leaves and applies the chain rule once per node.

Every operation is the same short pair. The method coerces the operand, computes the number and
attaches the rule. The rule, below the class in the same order, takes the node that the
operation made: it reads that node's gradient and adds to those of the operands, never
overwrites them, since an operand may be used elsewhere too. Rules are plain functions and not
closures over the node: nodes then hold no reference cycle, and a graph is freed as soon as its
root is. `formulas` holds the numbers that need care.

Formulas, ties and subgradients follow PyTorch: relu and abs have gradient 0 at 0, maximum
splits the gradient of a tie into two halves, gelu is the erf form. One thing differs: where no
gradient arrives, none is handed on, even where the slope is infinite (sqrt at 0); 0·∞ would be
NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, cast

from engine.autograd import formulas
from engine.autograd.coercion import described, is_number, number
from engine.autograd.node import Node, leaf_rule

Number = float | int


class Value(Node):
    """A scalar node of an expression graph.

    A Value behaves like its number wherever no gradient is at stake: it can be compared,
    formatted, tested for zero and turned into a float. `==` compares numbers, while each Value
    is a key of its own in dictionaries and sets, as in PyTorch. So `value in list` asks for an
    equal number; ask `any(v is value for v in list)` for the same node.

    Attributes:
        data: the number, always a Python float (float64). Whatever is assigned is converted.
            Note that NumPy rounds `p.data - np.float32(0.1)` to single precision before the
            result gets here.
        grad: d(root)/d(this), valid after `root.backward()`; sums up over calls on leaves.
        label: a name for drawings.

    `_prev` holds the operands in order, `_op` the operation's symbol; `_arg` is the constant
    of an operation that has one (the exponent of `x ** 2`, the slope of `leaky_relu`).
    """

    __slots__ = ()

    _prev: tuple[Value, ...]

    def __add__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        return _node(self._data + other._data, (self, other), "+", add_rule)

    def __mul__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            factor = _as_value(other)
            if factor is NotImplemented:
                return _refuse_to_repeat(other)
            other = factor
        return _node(self._data * other._data, (self, other), "*", mul_rule)

    def __truediv__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        quotient = formulas.divide(self._data, other._data)
        return _node(quotient, (self, other), "/", div_rule)

    def __pow__(self, other: Value | Number) -> Value:
        exponent = other if type(other) is Value else _as_value(other)
        if exponent is NotImplemented:
            return NotImplemented
        result = formulas.power(self._data, exponent._data)
        if exponent is other:
            return _node(result, (self, exponent), "**", power_rule)
        out = _node(result, (self,), f"**{other}", constant_power_rule)
        out._arg = exponent._data
        return out

    def exp(self) -> Value:
        """e**x; infinity where that is too large."""
        return _node(formulas.exp(self._data), (self,), "exp", exp_rule)

    def log(self) -> Value:
        """Natural logarithm. Raises ValueError at or below zero."""
        return _node(formulas.log(self._data), (self,), "log", log_rule)

    def sqrt(self) -> Value:
        """Square root. Raises ValueError below zero."""
        return _node(formulas.sqrt(self._data), (self,), "sqrt", sqrt_rule)

    def sin(self) -> Value:
        return _node(formulas.sin(self._data), (self,), "sin", sin_rule)

    def cos(self) -> Value:
        return _node(formulas.cos(self._data), (self,), "cos", cos_rule)

    def tanh(self) -> Value:
        return _node(math.tanh(self._data), (self,), "tanh", tanh_rule)

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x)), without overflow for any x."""
        return _node(formulas.sigmoid(self._data), (self,), "sigmoid", sigmoid_rule)

    def softplus(self) -> Value:
        """log(1 + exp(x)), without overflow for any x."""
        return _node(formulas.softplus(self._data), (self,), "softplus", softplus_rule)

    def relu(self) -> Value:
        x = self._data
        return _node(0.0 if x <= 0.0 else x, (self,), "ReLU", relu_rule)

    def leaky_relu(self, slope: float = 0.01) -> Value:
        """x above zero, slope * x below."""
        x, slope = self._data, number(slope, "the slope of leaky_relu")
        out = _node(x if x > 0.0 else slope * x, (self,), "leaky_relu", leaky_relu_rule)
        out._arg = slope
        return out

    def gelu(self) -> Value:
        """x * Phi(x) with the normal distribution function Phi (the erf form)."""
        x = self._data
        return _node(x * formulas.normal_cdf(x), (self,), "gelu", gelu_rule)

    def abs(self) -> Value:
        return _node(math.fabs(self._data), (self,), "abs", abs_rule)

    def maximum(self, other: Value | Number) -> Value:
        """The larger of two; on a tie each side gets half of the gradient."""
        right = other if type(other) is Value else _as_value(other)
        if right is NotImplemented:
            raise TypeError(f"maximum of a Value needs a Value or a number, not {described(other)}")
        a, b = self._data, right._data
        return _node(a if a >= b or a != a else b, (self, right), "max", maximum_rule)

    def __neg__(self) -> Value:
        return _node(self._data * -1.0, (self, _constant(-1.0)), "*", mul_rule)

    def __pos__(self) -> Value:
        return self

    def __sub__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            return self + -other
        # A number is converted before its sign changes: -np.uint8(3) is 253.
        return self + -float(other) if is_number(other) else NotImplemented

    def __rsub__(self, other: Number) -> Value:
        return -self + float(other) if is_number(other) else NotImplemented

    __radd__ = __add__
    __rmul__ = __mul__

    def __rtruediv__(self, other: Number) -> Value:
        left = _as_value(other)
        return left if left is NotImplemented else left / self

    def __rpow__(self, other: Number) -> Value:
        left = _as_value(other)
        return left if left is NotImplemented else left**self

    def __abs__(self) -> Value:
        return self.abs()


def add_rule(out: Node) -> None:
    a, b = out._prev
    g = out._grad
    a._grad += g
    b._grad += g


def mul_rule(out: Node) -> None:
    a, b = out._prev
    g = out._grad
    a._grad += b._data * g
    b._grad += a._data * g


def div_rule(out: Node) -> None:
    a, b = out._prev
    g = out._grad / b._data
    a._grad += g
    b._grad -= g * out._data


def power_rule(out: Node) -> None:
    base, exponent = out._prev
    x, y, g = base._data, exponent._data, out._grad
    base._grad += power_base_gradient(x, y, g)
    if x > 0.0:
        exponent._grad += g * out._data * math.log(x)
    elif not (x == 0.0 and y >= 0.0):
        exponent._grad += math.nan


def constant_power_rule(out: Node) -> None:
    (base,) = out._prev
    base._grad += power_base_gradient(base._data, out._arg, out._grad)


def power_base_gradient(x: float, y: float, g: float) -> float:
    """g·y·x**(y - 1); at x = 0 the slope is infinite for exponents below one, as its limit is."""
    if y == 0.0 or g == 0.0:
        return 0.0
    if x == 0.0 and y < 1.0:
        return g * (y * math.inf)
    return g * y * formulas.power(x, y - 1.0)


def exp_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad += out._data * out._grad


def log_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad += out._grad / a._data


def sqrt_rule(out: Node) -> None:
    (a,) = out._prev
    g, root = out._grad, out._data
    if g != 0.0:
        a._grad += g / (2.0 * root) if root else g * math.copysign(math.inf, root)


def sin_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad += formulas.cos(a._data) * out._grad


def cos_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad -= formulas.sin(a._data) * out._grad


def tanh_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad += (1.0 - out._data * out._data) * out._grad


def sigmoid_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad += out._data * (1.0 - out._data) * out._grad


def softplus_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad += formulas.sigmoid(a._data) * out._grad


def relu_rule(out: Node) -> None:
    if out._data > 0.0:
        out._prev[0]._grad += out._grad


def leaky_relu_rule(out: Node) -> None:
    (a,) = out._prev
    a._grad += out._grad if a._data > 0.0 else out._arg * out._grad


def gelu_rule(out: Node) -> None:
    (a,) = out._prev
    x = a._data
    a._grad += (formulas.normal_cdf(x) + x * formulas.normal_density(x)) * out._grad


def abs_rule(out: Node) -> None:
    (a,) = out._prev
    if a._data > 0.0:
        a._grad += out._grad
    elif a._data < 0.0:
        a._grad -= out._grad


def log_sum_exp_rule(out: Node) -> None:
    result, scale = out._data, out._grad
    if formulas.FAR <= abs(result) < math.inf:
        # The result has lost digits; the largest number has all of them.
        result = max(a._data for a in out._prev)
        scale /= formulas.add_up(formulas.exp(a._data - result) for a in out._prev)
    for a in out._prev:
        a._grad += formulas.exp(a._data - result) * scale


def maximum_rule(out: Node) -> None:
    a, b = out._prev
    if a._data == b._data:
        a._grad += 0.5 * out._grad
        b._grad += 0.5 * out._grad
    elif a._data > b._data:
        a._grad += out._grad
    else:
        b._grad += out._grad


def log_sum_exp(values: Iterable[Value]) -> Value:
    """log Σ exp(vᵢ), one node of n operands, without overflow for any vᵢ."""
    operands = _values(values, "log_sum_exp")
    data = formulas.log_sum_exp([v._data for v in operands])
    return _node(data, operands, "logsumexp", log_sum_exp_rule)


def softmax(values: Iterable[Value]) -> list[Value]:
    """exp(vᵢ) / Σ exp(vⱼ), without overflow for any vᵢ.

    The largest is subtracted first, which keeps every digit under a large common offset.
    """
    operands = _values(values, "softmax")
    top = reduce(Value.maximum, operands)
    shifted = [v - top for v in operands]
    total = log_sum_exp(shifted)
    return [(v - total).exp() for v in shifted]


def operand(x: Value | Number, name: str) -> Value | float:
    """A Value as it is, and a number as a float, before arithmetic without Values can round it.

    2 * np.uint8(200) is 144, and -np.uint8(1) is 255.
    """
    return x if isinstance(x, Value) else number(x, name)


def _values(values: Iterable[Value], operation: str) -> tuple[Value, ...]:
    """The operands of an operation of any number of Values, read once."""
    operands = tuple(values)
    if not operands:
        raise ValueError(f"{operation} of no values is not defined")
    for i, operand in enumerate(operands):
        if not isinstance(operand, Value):
            raise TypeError(f"{operation} needs Values, but item {i} is {described(operand)}")
    return operands


_new: Callable[[type[Value]], Value] = object.__new__


def _node(data: float, prev: tuple[Value, ...], op: str, rule: Callable[[Node], None]) -> Value:
    # Value(...) would coerce and copy again what is known to be right here.
    out = _new(Value)
    out._data = data
    out._grad = 0.0
    out.label = ""
    out._prev = prev
    out._op = op
    out._rule = rule
    return out


def _constant(data: float) -> Value:
    return _node(data, (), "", leaf_rule)


def _as_value(other: Any) -> Value:
    """`other` as a Value; NotImplemented, as operators must return it, where it is not a number."""
    if type(other) is float:
        return _node(other, (), "", leaf_rule)
    if is_number(other):
        return _constant(float(other))
    return other if isinstance(other, Value) else cast("Value", NotImplemented)


def _refuse_to_repeat(other: object) -> Value:
    """Keeps Python from trying to repeat a list or a text, and from complaining about that."""
    if isinstance(other, Sequence):
        kind = type(other).__name__
        raise TypeError(f"unsupported operand type(s) for *: 'Value' and {kind!r}")
    return cast("Value", NotImplemented)
