"""The node of a graph: a number, its gradient, and how it was made.

A node remembers the operands that produced it and the rule that carries its gradient back to
them. It knows no operation; those are written in `engine.autograd.value`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, SupportsFloat

from engine.autograd import graphs
from engine.autograd.coercion import is_number, number
from engine.autograd.graphs import OwnRule, topological_order


class Node:
    """See `engine.Value`, the class that is used.

    The engine reads and writes `_data` and `_grad`, which are plain slots; `data` and `grad` are
    the same numbers for everybody else, and turn what is assigned into a float.
    """

    __slots__ = ("_arg", "_data", "_grad", "_op", "_prev", "_rule", "label")

    _replaced: ClassVar[bool] = False
    """Whether a `_backward` was ever set; asking every node of a large graph takes time."""

    _data: float
    _grad: float
    label: str
    _prev: tuple[Node, ...]
    _op: str
    _rule: Callable[[Any], None]
    _arg: float

    def __init__(
        self,
        data: SupportsFloat,
        _children: Iterable[Node] = (),
        _op: str = "",
        label: str = "",
    ) -> None:
        self._data = data if type(data) is float else number(data, "the number of a Value")
        self._grad = 0.0
        self.label = label
        self._prev = tuple(_children)
        self._op = _op
        self._rule = leaf_rule

    @property
    def data(self) -> float:
        """The number."""
        return self._data

    @data.setter
    def data(self, new: SupportsFloat) -> None:
        self._data = new if type(new) is float else number(new, "data")

    @property
    def grad(self) -> float:
        """d(root)/d(this), valid after `root.backward()`."""
        return self._grad

    @grad.setter
    def grad(self, new: SupportsFloat) -> None:
        self._grad = new if type(new) is float else number(new, "grad")

    @property
    def _backward(self) -> Callable[[], None]:
        """Adds this node's share of the gradient to its operands.

        Can be set, as in the lecture: that is how to make an operation of your own.
        """
        return lambda: self._rule(self)

    @_backward.setter
    def _backward(self, function: Callable[[], None]) -> None:
        self._rule = OwnRule(function)
        Node._replaced = True

    def backward(self) -> None:
        """Computes d(self)/d(node) into `grad` of every node that self depends on.

        Leaves accumulate: two calls without zeroing in between give exactly twice the gradient.
        Inner nodes start at zero in each call, so they never count an earlier call again.
        """
        order = topological_order(self)
        for node in order:
            if node._prev:
                node._grad = 0.0
        self._grad += 1.0
        leaf = leaf_rule
        for node in reversed(order):
            rule = node._rule
            if rule is not leaf:  # about half of a graph's nodes are leaves
                rule(node)

    # Copies keep numbers, gradients and labels, and nodes that are shared stay shared.

    def __copy__(self) -> Any:
        return graphs.shallow_copy(self)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        return graphs.deep_copy(self, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return graphs.reduce(self)

    # As a number. None of these takes part in the graph.

    def __float__(self) -> float:
        return self._data

    def __int__(self) -> int:
        return int(self._data)

    def __bool__(self) -> bool:
        return self._data != 0.0

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else str(self)

    # Nodes are equal when their numbers are, but each is a key of its own in sets and
    # dictionaries: two nodes with the same number are different places in a graph.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        right = comparable(other)
        return right if right is NotImplemented else bool(self._data == right)

    def __ne__(self, other: object) -> bool:
        right = comparable(other)
        return right if right is NotImplemented else bool(self._data != right)

    def __lt__(self, other: object) -> bool:
        right = comparable(other)
        return right if right is NotImplemented else bool(self._data < right)

    def __le__(self, other: object) -> bool:
        right = comparable(other)
        return right if right is NotImplemented else bool(self._data <= right)

    def __gt__(self, other: object) -> bool:
        right = comparable(other)
        return right if right is NotImplemented else bool(self._data > right)

    def __ge__(self, other: object) -> bool:
        right = comparable(other)
        return right if right is NotImplemented else bool(self._data >= right)

    def __repr__(self) -> str:
        return f"Value(data={self._data}, grad={self._grad})"


def comparable(other: object) -> Any:
    """The number of an operand of a comparison, as it is: Python compares large integers exactly.

    NotImplemented where it is not a number.
    """
    if isinstance(other, Node):
        return other._data
    return other if is_number(other) else NotImplemented


def leaf_rule(out: Node) -> None:
    """A leaf has no operands."""
