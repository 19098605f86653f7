"""Loads, stores and variables."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any, Generic

from llvmlite import ir
from numba.core import cgutils

from engine.native.lanes.values import (
    BYTES,
    DOUBLE,
    DOUBLES,
    INTEGER,
    LANES,
    Int,
    Lanes,
    Number,
    Some,
    builder,
    indices,
)


def pointer(address: Int, to: Any) -> Any:
    return builder().inttoptr(address.ir, to.as_pointer())


def load(address: Int) -> Lanes:
    # Weights start anywhere, so nothing better than 8-byte alignment is promised; where the
    # address is aligned the same instruction is as fast.
    return Lanes(builder().load(pointer(address, DOUBLES), align=8))


def store(address: Int, value: Lanes | Number | float) -> None:
    builder().store(Lanes.of(value).ir, pointer(address, DOUBLES), align=8)


def load_halves(left: Int, right: Int) -> Lanes:
    """Four numbers from one address and four from another."""
    half = ir.VectorType(DOUBLE, LANES // 2)
    a, b = (builder().load(pointer(address, half), align=8) for address in (left, right))
    return Lanes(builder().shuffle_vector(a, b, indices(range(LANES))))


def load_turned(address: Int, stride: Int) -> list[Lanes]:
    """Vector l has lane l of each of eight vectors that lie `stride` apart.

    Halves are put together while they are loaded, which needs no shuffle; two rounds of
    exchanges within the halves do the rest.
    """
    turned: list[Lanes] = []
    for half in (address, address + BYTES // 2):
        rows = [load_halves(half + i * stride, half + (i + 4) * stride) for i in range(4)]
        for width in (1, 2):
            rows = [exchange(rows[i & ~width], rows[i | width], i, width) for i in range(4)]
        turned += rows
    return turned


def exchange(a: Lanes, b: Lanes, row: int, width: int) -> Lanes:
    """Row `row` of two after swapping groups of `width` lanes across their diagonal."""
    shift = width if row & width else 0
    own = [(place & ~width) + shift + (LANES if place & width else 0) for place in range(LANES)]
    return Lanes(builder().shuffle_vector(a.ir, b.ir, indices(own)))


def read(address: Int) -> Number:
    return Number(builder().load(pointer(address, DOUBLE)))


def write(address: Int, value: Number | float) -> None:
    builder().store(Number.of(value).ir, pointer(address, DOUBLE))


def read_int(address: Int) -> Int:
    return Int(builder().load(pointer(address, INTEGER)))


def write_int(address: Int, value: Int) -> None:
    builder().store(value.ir, pointer(address, INTEGER))


def write_byte(address: Int, value: Int) -> None:
    """Its lowest eight bits."""
    byte = ir.IntType(8)
    builder().store(builder().trunc(value.ir, byte), pointer(address, byte))


class Variable(Generic[Some]):
    """A value that changes from turn to turn of a loop."""

    def __init__(self, start: Some) -> None:
        self._kind = type(start)
        self._place = cgutils.alloca_once(builder(), start.ir.type)
        self.value = start

    @property
    def value(self) -> Some:
        return self._kind(builder().load(self._place))

    @value.setter
    def value(self, new: Some) -> None:
        builder().store(new.ir, self._place)
