"""Walking, copying and pickling graphs of any depth.

Nothing here recurses: a graph may be far deeper than Python's own stack.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary


class Linked(Protocol):
    """A node that knows its operands."""

    @property
    def _prev(self) -> tuple[Any, ...]: ...


N = TypeVar("N", bound=Linked)


def topological_order(root: N, seen: set[N] | None = None) -> list[N]:
    """Every node that `root` depends on, operands before results, left operands first.

    The order depends on the graph alone, so sums are formed in the same order in every run.
    The stack holds nodes and the operands that each still waits for. Nodes in `seen` are left
    out, and the nodes of the answer are added to it.
    """
    if seen is None:
        seen = set()
    elif root in seen:
        return []
    seen.add(root)
    order: list[N] = []
    stack: list[tuple[N, Iterator[N]]] = [(root, iter(root._prev))]
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


class OwnRule:
    """A `_backward` that somebody set: a function without arguments, usually a closure."""

    __slots__ = ("function",)

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, out: object) -> None:
        self.function()


COPIED = ("_data", "_grad", "label", "_op", "_rule", "_arg")


def facts(node: Any) -> dict[str, Any]:
    """Everything that a copy of a node has in common with it, except its operands."""
    if isinstance(node._rule, OwnRule):
        raise TypeError(
            f"the Value made by {node._op or 'an operation'!r} cannot be copied or pickled: its "
            "_backward was set, and that function would still change the original's operands"
        )
    return {name: getattr(node, name) for name in COPIED if hasattr(node, name)}


def rebuild(kind: type[Any], prev: tuple[Any, ...], found: dict[str, Any]) -> Any:
    """A node with these operands and facts."""
    node = object.__new__(kind)
    node._prev = prev
    for name, fact in found.items():
        setattr(node, name, fact)
    return node


def shallow_copy(node: Any) -> Any:
    """A node of the same operands."""
    return rebuild(type(node), node._prev, facts(node) | getattr(node, "__dict__", {}))


def deep_copy(node: Any, memo: dict[Any, Any]) -> Any:
    """A copy of the whole graph. `memo` is the one of `copy.deepcopy`: shared nodes stay shared."""
    for original in topological_order(node, memo.setdefault("engine.Value", set())):
        if id(original) not in memo:
            operands = tuple([memo[id(operand)] for operand in original._prev])
            memo[id(original)] = made = rebuild(type(original), operands, facts(original))
            for name, attribute in getattr(original, "__dict__", {}).items():
                setattr(made, name, copy.deepcopy(attribute, memo))
    return memo[id(node)]


class Flat:
    """Stands for a node in a pickle, after its operands."""

    __slots__ = ("__weakref__", "node")

    def __init__(self, node: Any) -> None:
        self.node = node

    def __reduce__(self) -> tuple[Any, ...]:
        node = self.node
        found = facts(node) | getattr(node, "__dict__", {})
        return rebuild, (type(node), tuple([flat(operand) for operand in node._prev]), found)


class Flats(threading.local):
    """The one Flat of each node. A pickle keeps those it has written alive, so that a node which
    is reached from two roots is written once."""

    def __init__(self) -> None:
        self.of_id: WeakValueDictionary[int, Flat] = WeakValueDictionary()


flats = Flats()


def flat(node: Any) -> Flat:
    found = flats.of_id.get(id(node))
    if found is None:
        found = flats.of_id[id(node)] = Flat(node)
    return found


def reduce(node: Any) -> tuple[Any, ...]:
    """For `__reduce__`: the nodes in topological order, so that writing one never leads deep."""
    return last, ([flat(each) for each in topological_order(node)],)


def last(nodes: list[Any]) -> Any:
    return nodes[-1]
