"""One scalar, its gradient, and how it was made.

A `Value` remembers the operation and the operands that produced it, so an expression
written in plain Python is also a graph. `backward()` walks that graph from the result to
the leaves and applies the chain rule once a node.

Every operation is the same short block: coerce the operand, compute the number, attach the
rule that carries the gradient back. A rule is a plain function of the node, not a closure
over it: nodes then hold no reference cycle and a graph is freed as soon as its root is.
`formulas` holds the numbers that need care, `derivatives` the rules.

Formulas, ties and subgradients follow PyTorch: relu and abs have gradient 0 at 0, maximum
splits the gradient of a tie in two halves, gelu is the erf form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from typing import Any, ClassVar, SupportsFloat, cast

from engine.autograd import derivatives, formulas

Number = float | int
Rule = Callable[["Value"], None]


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

    _replaced: ClassVar[bool] = False
    """Whether a `_backward` was ever set; looking at each in a large graph takes its time."""

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
        self._rule = derivatives.leaf

    def __add__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        return _node(self.data + other.data, (self, other), "+", derivatives.add)

    def __mul__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        return _node(self.data * other.data, (self, other), "*", derivatives.mul)

    def __truediv__(self, other: Value | Number) -> Value:
        if type(other) is not Value:
            other = _as_value(other)
            if other is NotImplemented:
                return NotImplemented
        quotient = formulas.divide(self.data, other.data)
        return _node(quotient, (self, other), "/", derivatives.div)

    def __pow__(self, other: Value | Number) -> Value:
        exponent = _as_value(other)
        if exponent is NotImplemented:
            return NotImplemented
        result = formulas.power(self.data, exponent.data)
        if exponent is other:
            return _node(result, (self, exponent), "**", derivatives.pow)
        out = _node(result, (self,), f"**{other}", derivatives.pow_constant)
        out._arg = exponent.data
        return out

    def exp(self) -> Value:
        """e**x; infinity where that is too large."""
        return _node(formulas.exp(self.data), (self,), "exp", derivatives.exp)

    def log(self) -> Value:
        """Natural logarithm. Raises ValueError at or below zero."""
        return _node(formulas.log(self.data), (self,), "log", derivatives.log)

    def sqrt(self) -> Value:
        """Square root. Raises ValueError below zero."""
        return _node(formulas.sqrt(self.data), (self,), "sqrt", derivatives.sqrt)

    def sin(self) -> Value:
        return _node(formulas.sin(self.data), (self,), "sin", derivatives.sin)

    def cos(self) -> Value:
        return _node(formulas.cos(self.data), (self,), "cos", derivatives.cos)

    def tanh(self) -> Value:
        return _node(math.tanh(self.data), (self,), "tanh", derivatives.tanh)

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x)), without overflow for any x."""
        return _node(formulas.sigmoid(self.data), (self,), "sigmoid", derivatives.sigmoid)

    def softplus(self) -> Value:
        """log(1 + exp(x)), without overflow for any x."""
        return _node(formulas.softplus(self.data), (self,), "softplus", derivatives.softplus)

    def relu(self) -> Value:
        x = self.data
        return _node(0.0 if x <= 0.0 else x, (self,), "ReLU", derivatives.relu)

    def leaky_relu(self, slope: float = 0.01) -> Value:
        x = self.data
        out = _node(x if x > 0.0 else slope * x, (self,), "leaky_relu", derivatives.leaky_relu)
        out._arg = float(slope)
        return out

    def gelu(self) -> Value:
        """x * Phi(x) with the normal distribution function Phi (the erf form)."""
        x = self.data
        return _node(x * formulas.normal_cdf(x), (self,), "gelu", derivatives.gelu)

    def abs(self) -> Value:
        return _node(math.fabs(self.data), (self,), "abs", derivatives.abs)

    def maximum(self, other: Value | Number) -> Value:
        """The larger of two; on a tie each side gets half of the gradient."""
        right = other if type(other) is Value else _as_value(other)
        if right is NotImplemented:
            raise TypeError(f"maximum of a Value and {type(other).__name__}")
        a, b = self.data, right.data
        return _node(a if a >= b or a != a else b, (self, right), "max", derivatives.maximum)

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
        left = _as_value(other)
        return left if left is NotImplemented else left / self

    def __rpow__(self, other: Number) -> Value:
        left = _as_value(other)
        return left if left is NotImplemented else left**self

    def __abs__(self) -> Value:
        return self.abs()

    @property
    def _backward(self) -> Callable[[], None]:
        """Adds this node's share of the gradient to its operands.

        Can be set, as in the lecture: that is how an operation of one's own is made.
        """
        return lambda: self._rule(self)

    @_backward.setter
    def _backward(self, function: Callable[[], None]) -> None:
        self._rule = lambda _: function()
        Value._replaced = True

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


def log_sum_exp(values: Sequence[Value]) -> Value:
    """log Σ exp(vᵢ), one node of n operands, without overflow for any vᵢ."""
    if not values:
        raise ValueError("log_sum_exp of no values is not defined")
    data = formulas.log_sum_exp([v.data for v in values])
    return _node(data, tuple(values), "logsumexp", derivatives.log_sum_exp)


def softmax(values: Sequence[Value]) -> list[Value]:
    """exp(vᵢ) / Σ exp(vⱼ), without overflow for any vᵢ."""
    total = log_sum_exp(values)
    return [(v - total).exp() for v in values]


def topological_order(root: Value) -> list[Value]:
    """Every node that `root` depends on, operands before results, left operands first.

    The order depends on the graph alone, so sums are formed in the same order in every run.
    Iterative, with a stack of nodes and the operands that each still waits for: a graph may
    be deeper than Python's own stack.
    """
    order: list[Value] = []
    seen = {root}
    stack: list[tuple[Value, Iterator[Value]]] = [(root, iter(root._prev))]
    while stack:
        node, waiting = stack[-1]
        for operand in waiting:
            if operand not in seen:
                seen.add(operand)
                if operand._prev:
                    stack.append((operand, iter(operand._prev)))
                    break
                order.append(operand)
        else:
            order.append(node)
            stack.pop()
    return order


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
    if isinstance(other, (float, int, Real)):
        return Value(float(other))
    return other if isinstance(other, Value) else cast("Value", NotImplemented)
