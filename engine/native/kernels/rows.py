"""Operations on rows that are not elementwise, and those of a step on whole rows."""

from __future__ import annotations

import math

from engine.compiler.instructions import Flag
from engine.native.kernels import rules
from engine.native.kernels.approximations import exp, log
from engine.native.kernels.elementwise import (
    FIRST_A,
    FIRST_B,
    NEEDS_A,
    NEEDS_B,
    add_gradient,
    every_vector,
)
from engine.native.lanes.control import times, when
from engine.native.lanes.memory import Variable, load, read, store, write
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, ZEROS, Int, Lanes, Number
from engine.native.lanes.vectors import anywhere, first_lanes, fma, magnitude, select, total

ADDS, SECOND = Flag.ACCUMULATE, Flag.SECOND


@traced
def linear(
    y: Int, a: Int, b: Int, c: Int, flags: Int, count: Int, stride: Int, vectors: Int
) -> None:
    """y = c₀ + c₁·a + c₂·b, or y += c₁·a + c₂·b; without b unless SECOND says so."""
    constant, left, right = read(c), read(c + 8), read(c + 16)
    for at in every_vector(count, stride, vectors):
        result = Variable(Lanes.of(constant))
        with when((flags & ADDS) != 0):
            result.value = load(y + at)
        result.value = fma(load(a + at), left, result.value)
        with when((flags & SECOND) != 0):
            result.value = fma(load(b + at), right, result.value)
        store(y + at, result.value)


@traced
def linear_rule(
    gy: Int, ga: Int, gb: Int, c: Int, flags: Int, count: Int, stride: Int, vectors: Int
) -> None:
    left, right = read(c + 8), read(c + 16)
    for at in every_vector(count, stride, vectors):
        gradient = load(gy + at)
        # One after the other: both operands may be the same row.
        with when((flags & NEEDS_A) != 0):
            add_gradient(ga + at, gradient * left, flags & FIRST_A)
        with when((flags & NEEDS_B) != 0):
            add_gradient(gb + at, gradient * right, flags & FIRST_B)


FAR = 2.0**12
"""From here on log Σ exp has lost so many digits that its rule does not rely on it."""


@traced
def log_sum_exp(y: Int, a: Int, width: Int, stride: Int, vectors: Int) -> None:
    """log Σ exp(aₖ) over rows, the largest taken out first so that no exp overflows."""
    for vector in times(vectors):
        top, total = largest_and_rest(a + vector * BYTES, width, stride)
        store(y + vector * BYTES, top + log(total))


def largest_and_rest(first: Int, width: Int, stride: Int) -> tuple[Lanes, Lanes]:
    """The largest aₖ, and Σ exp(aₖ - largest)."""
    top = Variable(load(first))
    for k in times(width):
        x = load(first + k * stride)
        top.value = select(x > top.value, x, top.value)
    result = Variable(ZEROS)
    for k in times(width):
        result.value = result.value + exp(load(first + k * stride) - top.value)
    return top.value, result.value


@traced
def log_sum_exp_rule(
    y: Int, a: Int, gy: Int, ga: Int, flags: Int, width: Int, stride: Int, vectors: Int
) -> None:
    """The slope exp(aₖ - y), or where y is large exp(aₖ - largest)/Σ, which is the same."""
    for vector in times(vectors):
        at = vector * BYTES
        result, weight = Variable(load(y + at)), Variable(load(gy + at))
        size = magnitude(result.value)
        far = (size >= FAR) & (size < math.inf)
        with when(anywhere(far)):
            top, total = largest_and_rest(a + at, width, stride)
            result.value = select(far, top, result.value)
            weight.value = select(far, weight.value / total, weight.value)
        for k in times(width):
            place = k * stride + at
            slope = exp(load(a + place) - result.value)
            add_gradient(ga + place, weight.value * slope, flags & FIRST_A)


@traced
def relu_rule(y: Int, gy: Int, count: Int, stride: Int, vectors: Int) -> None:
    """The rule of a relu that a matrix did: its gradient, in place."""
    for at in every_vector(count, stride, vectors):
        result = load(y + at)
        store(gy + at, rules.relu_rule(result, result, load(gy + at)))


@traced
def load_slots(y: Int, slot: Int, count: Int, stride: Int, vectors: Int) -> None:
    """Row r = the number in slot r, for every example."""
    for row in times(count):
        number = read(slot + row * 8)
        for vector in times(vectors):
            store(y + row * stride + vector * BYTES, number)


@traced
def load_slots_rule(gy: Int, g_slot: Int, count: Int, stride: Int, vectors: Int) -> None:
    for row in times(count):
        result = Variable(ZEROS)
        for vector in times(vectors):
            result.value = result.value + load(gy + row * stride + vector * BYTES)
        at = g_slot + row * 8
        write(at, read(at) + total(result.value))


@traced
def store_slots(a: Int, slot: Int, count: Int, stride: Int) -> None:
    """Slot r = row r of the prologue, whose lanes are all the same."""
    for row in times(count):
        write(slot + row * 8, read(a + row * stride))


@traced
def store_slots_rule(ga: Int, g_slot: Int, flags: Int, count: Int, stride: Int) -> None:
    """Each of the eight equal lanes hands on an eighth, which is exact."""
    for row in times(count):
        gradient = Lanes.of(read(g_slot + row * 8) * 0.125)
        add_gradient(ga + row * stride, gradient, flags & FIRST_A)


@traced
def clear(g: Int, count: Int, stride: Int, vectors: Int) -> None:
    for at in every_vector(count, stride, vectors):
        store(g + at, 0.0)


@traced
def seed(g: Int, weight: Number, examples: Int) -> None:
    """The gradient of the loss row: each example's weight, and 0 in the lanes after them."""
    for vector in times(examples // LANES):
        store(g + vector * BYTES, weight)
    with when(examples % LANES != 0):
        at = g + examples // LANES * BYTES
        store(at, select(first_lanes(examples % LANES), weight, 0.0))


@traced
def add_row(sums: Int, y: Int, examples: Int) -> None:
    """Adds the examples of a row to eight sums, one per lane."""
    result = Variable(load(sums))
    for vector in times(examples // LANES):
        result.value = result.value + load(y + vector * BYTES)
    with when(examples % LANES != 0):
        rest = load(y + examples // LANES * BYTES)
        result.value = result.value + select(first_lanes(examples % LANES), rest, 0.0)
    store(sums, result.value)


@traced
def sum_of(sums: Int) -> Number:
    return total(load(sums))
