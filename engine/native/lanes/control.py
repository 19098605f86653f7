"""Loops and branches of the running kernel."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from llvmlite import ir
from numba.core import cgutils

from engine.native.lanes.memory import Variable
from engine.native.lanes.values import BIT, INTEGER, ZEROS, Bit, Int, Lanes, builder, call


def times(count: Int | int) -> Iterator[Int]:
    """A loop over 0 … count-1."""
    with cgutils.for_range(builder(), Int.of(count).ir) as loop:
        yield Int(loop.index)


def set_bits(value: Int) -> Iterator[Int]:
    """A loop over the bits that are set, by their places from the lowest on."""
    left = Variable(value)
    again, body, after = (builder().append_basic_block(name) for name in ("again", "body", "after"))
    builder().branch(again)
    builder().position_at_end(again)
    bits = left.value
    builder().cbranch((bits != 0).ir, body, after)
    builder().position_at_end(body)
    left.value = bits & (bits - 1)
    yield Int(call("llvm.cttz.i64", INTEGER, bits.ir, ir.Constant(BIT, 1)))
    builder().branch(again)
    builder().position_at_end(after)


@contextmanager
def when(condition: Bit) -> Iterator[None]:
    """Runs its body where the condition holds."""
    with builder().if_then(condition.ir):
        yield


def cases(value: Int, numbers: Sequence[int]) -> Iterator[int]:
    """Writes a branch for each of the numbers; any other value skips all of them."""
    after = builder().append_basic_block("after")
    switch = builder().switch(value.ir, after)
    for number in numbers:
        block = builder().append_basic_block(f"case{number}")
        switch.add_case(ir.Constant(INTEGER, number), block)
        builder().position_at_end(block)
        yield number
        builder().branch(after)
    builder().position_at_end(after)


def if_else(condition: Bit, then: Callable[[], Lanes], otherwise: Callable[[], Lanes]) -> Lanes:
    """One of two computations, unlike `select`, which does both."""
    result = Variable(ZEROS)
    with builder().if_else(condition.ir) as (yes, no):
        with yes:
            result.value = then()
        with no:
            result.value = otherwise()
    return result.value
