"""Elementwise operations over rows.

A row of values lies at `y`, `a` or `b`, its gradients at `gy`, `ga`, `gb`; `count` neighbouring
rows are done at once. `flags` say which operand needs a gradient and whether it is the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.compiler.instructions import Flag
from engine.compiler.operations import ELEMENTWISE, Op
from engine.native.kernels import rules
from engine.native.lanes.control import cases, times, when
from engine.native.lanes.memory import load, read, store
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, Int, Lanes

NEEDS_A, NEEDS_B = Flag.GRADIENT_A, Flag.GRADIENT_B
FIRST_A, FIRST_B = Flag.FIRST_A, Flag.FIRST_B

Function = Callable[..., Lanes]


@dataclass(frozen=True)
class Unary:
    """y = function(a), with ga = rule(a, y, gy); both also take the constant if there is one."""

    function: Function
    rule: Function
    constant: bool = False


@dataclass(frozen=True)
class Binary:
    """y = function(a, b), with ga = left(a, b, y, gy) and gb = right(a, b, y, gy)."""

    function: Function
    left: Function
    right: Function


def functions_of(op: Op) -> Unary | Binary:
    """The functions of `engine.native.kernels.rules` that are named after an operation."""
    name = op.name.lower()
    rule_names = ["rule"] if op.operands == 1 else ["left_rule", "right_rule"]
    names = [name, *(f"{name}_{rule}" for rule in rule_names)]
    missing = [each for each in names if not hasattr(rules, each)]
    if missing:
        raise NotImplementedError(
            f"engine/native/kernels/rules.py has no {' and no '.join(missing)} for the operation "
            f"{op.name} of engine/compiler/operations.py"
        )
    function, *found = (getattr(rules, each) for each in names)
    if op.operands == 1:
        return Unary(function, found[0], op.constant)
    return Binary(function, found[0], found[1])


TABLE: dict[int, Unary | Binary] = {op: functions_of(op) for op in ELEMENTWISE}


@traced
def elementwise(
    op: Int, y: Int, a: Int, b: Int, c: Int, count: Int, stride: Int, vectors: Int
) -> None:
    """The operation with the number `op`; the constant of one that has one lies at `c`."""
    for number in cases(op, [*TABLE]):
        operation = TABLE[number]
        constants = [read(c)] if isinstance(operation, Unary) and operation.constant else []
        for at in every_vector(count, stride, vectors):
            if isinstance(operation, Unary):
                result = operation.function(load(a + at), *constants)
            else:
                result = operation.function(load(a + at), load(b + at))
            store(y + at, result)


@traced
def elementwise_rule(
    op: Int, y: Int, a: Int, b: Int, gy: Int, ga: Int, gb: Int, c: Int, flags: Int, count: Int,
    stride: Int, vectors: Int,
) -> None:  # fmt: skip
    """The derivative rule of the operation with the number `op`."""
    for number in cases(op, [*TABLE]):
        operation = TABLE[number]
        constants = [read(c)] if isinstance(operation, Unary) and operation.constant else []
        for at in every_vector(count, stride, vectors):
            result, gradient = load(y + at), load(gy + at)
            if isinstance(operation, Unary):
                new = operation.rule(load(a + at), result, gradient, *constants)
                add_gradient(ga + at, new, flags & FIRST_A)
            else:
                left, right = load(a + at), load(b + at)
                # One after the other: both operands may be the same row.
                with when((flags & NEEDS_A) != 0):
                    new = operation.left(left, right, result, gradient)
                    add_gradient(ga + at, new, flags & FIRST_A)
                with when((flags & NEEDS_B) != 0):
                    new = operation.right(left, right, result, gradient)
                    add_gradient(gb + at, new, flags & FIRST_B)


def every_vector(count: Int, stride: Int, vectors: Int) -> Iterator[Int]:
    """The distance of each vector of `count` rows from the first."""
    for row in times(count):
        for vector in times(vectors):
            yield row * stride + vector * BYTES


def add_gradient(address: Int, gradient: Any, first: Int) -> None:
    """Adds to what other consumers of a row gave it, unless this is the first."""
    with when(first != 0):
        store(address, gradient)
    with when(first == 0):
        store(address, load(address) + gradient)
