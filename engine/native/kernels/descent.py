"""The operations of a step on all parameters: penalties, the gradient's norm, clipping, the update.

Parameters lie side by side from the first slot on, padded with zeros to whole vectors; every
number here is the address of such a row or a setting of the optimizer. Formulas are those of
`engine.networks.batch_loss` and `engine.networks.optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.native.lanes.control import times, when
from engine.native.lanes.memory import Variable, load, read, read_int, store, write
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, ZEROS, Int, Lanes, Number
from engine.native.lanes.vectors import fma, lane, magnitude, select, total


def sum_over(vectors: Int, term: Callable[[Int], Lanes]) -> Number:
    """The total of term(distance) over a row of vectors, in four running sums.

    One running sum would wait for each addition to be done before the next.
    """
    sums = [Variable(ZEROS) for _ in range(4)]
    for four in times(vectors // 4):
        for i, part in enumerate(sums):
            part.value = part.value + term((four * 4 + i) * BYTES)
    for rest in times(vectors % 4):
        sums[0].value = sums[0].value + term((vectors // 4 * 4 + rest) * BYTES)
    a, b, c, d = (part.value for part in sums)
    return total((a + b) + (c + d))


def squares(row: Int) -> Callable[[Int], Lanes]:
    """A term for `sum_over`."""

    def square(at: Int) -> Lanes:
        x = load(row + at)
        return x * x

    return square


@traced
def sum_of_squares(row: Int, vectors: Int) -> Number:
    return sum_over(vectors, squares(row))


@traced
def largest(row: Int, vectors: Int) -> Number:
    """The largest magnitude; NaN is left out."""
    top = Variable(ZEROS)
    for vector in times(vectors):
        size = magnitude(load(row + vector * BYTES))
        top.value = select(size > top.value, size, top.value)
    result = Variable(lane(top.value, 0))
    for i in range(1, LANES):
        other = lane(top.value, i)
        with when(other > result.value):
            result.value = other
    return result.value


@traced
def sum_of_scaled_squares(row: Int, vectors: Int, unit: Number) -> Number:
    """Σ(x/unit)²."""

    def square(at: Int) -> Lanes:
        x = load(row + at) / unit
        return x * x

    return sum_over(vectors, square)


@traced
def add_l2(p: Int, g: Int, vectors: Int, l2: Number) -> Number:
    """g += 2·l2·p. The result is l2·Σp²."""

    def square(at: Int) -> Lanes:
        x = load(p + at)
        store(g + at, fma(x, l2 + l2, load(g + at)))
        return x * x

    return sum_over(vectors, square) * l2


@traced
def add_l1(p: Int, g: Int, vectors: Int, l1: Number) -> Number:
    """g += l1·sign(p). The result is l1·Σ|p|."""

    def size(at: Int) -> Lanes:
        x = load(p + at)
        sign = select(x > 0.0, l1, select(x < 0.0, -l1, 0.0))
        store(g + at, load(g + at) + sign)
        return magnitude(x)

    return sum_over(vectors, size) * l1


@traced
def penalty(p: Int, vectors: Int, l2: Number, l1: Number) -> Number:
    """l2·Σp² + l1·Σ|p|; a strength of 0 adds nothing, even where the sum is infinite."""
    result = Variable(Number.of(0.0))
    with when(l2 > 0.0):
        result.value = sum_over(vectors, squares(p)) * l2
    with when(l1 > 0.0):
        sizes = sum_over(vectors, lambda at: magnitude(load(p + at)))
        result.value = result.value + sizes * l1
    return result.value


@traced
def scale_gradient(g: Int, vectors: Int, factor: Number) -> None:
    for vector in times(vectors):
        at = g + vector * BYTES
        store(at, load(at) * factor)


@traced
def copy(to: Int, source: Int, vectors: Int) -> None:
    for vector in times(vectors):
        store(to + vector * BYTES, load(source + vector * BYTES))


@traced
def copy_links(slots: Int, links: Int, count: Int) -> None:
    """Makes each slot that repeats another the same: `links` are pairs of slots."""
    for slot, original in linked(slots, links, count):
        write(slot, read(original))


@traced
def add_links(gradients: Int, links: Int, count: Int) -> None:
    """Adds the gradients of slots that repeat others to theirs."""
    for slot, original in linked(gradients, links, count):
        write(original, read(original) + read(slot))


def linked(row: Int, links: Int, count: Int) -> Iterator[tuple[Int, Int]]:
    for i in times(count):
        yield row + read_int(links + i * 16) * 8, row + read_int(links + i * 16 + 8) * 8


@traced
def erase(row: Int, vectors: Int) -> None:
    for vector in times(vectors):
        store(row + vector * BYTES, 0.0)


@traced
def descend(p: Int, g: Int, vectors: Int, rate: Number) -> Number:
    """p -= rate·g. The result is Σg², or NaN when a parameter is no longer finite."""
    check = Variable(ZEROS)

    def square(at: Int) -> Lanes:
        gradient = load(g + at)
        move(p + at, gradient * rate, check)
        return gradient * gradient

    return sum_over(vectors, square) + total(check.value)


@traced
def descend_with_momentum(
    p: Int, g: Int, velocity: Int, vectors: Int, rate: Number, momentum: Number, nesterov: Int
) -> Number:
    """v = momentum·v + g, then p -= rate·v, or with Nesterov p -= rate·(g + momentum·v).

    The result is that of `descend`.
    """
    check = Variable(ZEROS)

    def square(at: Int) -> Lanes:
        gradient = load(g + at)
        new_velocity = load(velocity + at) * momentum + gradient
        store(velocity + at, new_velocity)
        direction = Variable(new_velocity)
        with when(nesterov != 0):
            direction.value = gradient + new_velocity * momentum
        move(p + at, direction.value * rate, check)
        return gradient * gradient

    return sum_over(vectors, square) + total(check.value)


def move(parameters: Int, step: Lanes, check: Variable[Lanes]) -> None:
    """Subtracts a step; `check`, which is 0, becomes NaN where the result is not finite."""
    new = load(parameters) - step
    store(parameters, new)
    check.value = fma(new, 0.0, check.value)
