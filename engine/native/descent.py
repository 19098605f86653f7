"""What a step does to all parameters: penalties, the gradient's norm, clipping, the update.

Parameters lie side by side from the first slot on, padded with zeros to whole vectors; every
number here is the address of such a row or one of its settings. Formulas are those of
`engine.losses` and `engine.optim`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.native.tracing import (
    BYTES,
    ZEROS,
    Int,
    Lanes,
    Number,
    Variable,
    fma,
    load,
    magnitude,
    select,
    store,
    times,
    total,
    traced,
    when,
    write,
)


def sum_over(vectors: Int, terms: Callable[[Int], Sequence[Lanes]], count: int) -> list[Number]:
    """The totals of each of terms(distance) over a row of vectors, each in four running sums.

    One running sum would wait for each addition to be done before the next.
    """
    sums = [[Variable(ZEROS) for _ in range(4)] for _ in range(count)]
    for four in times(vectors // 4):
        for i in range(4):
            for parts, term in zip(sums, terms((four * 4 + i) * BYTES), strict=True):
                parts[i].value = parts[i].value + term
    for rest in times(vectors % 4):
        for parts, term in zip(sums, terms((vectors // 4 * 4 + rest) * BYTES), strict=True):
            parts[0].value = parts[0].value + term
    quarters = ([part.value for part in parts] for parts in sums)
    return [total((a + b) + (c + d)) for a, b, c, d in quarters]


@traced
def penalty(p: Int, vectors: Int, l2: Number, l1: Number) -> Number:
    """l2·Σp² + l1·Σ|p|."""

    def terms(at: Int) -> Sequence[Lanes]:
        x = load(p + at)
        return x * x, magnitude(x)

    squares, sizes = sum_over(vectors, terms, 2)
    return squares * l2 + sizes * l1


@traced
def add_penalties(p: Int, g: Int, vectors: Int, l2: Number, l1: Number, found: Int) -> Number:
    """g += 2·l2·p + l1·sign(p). The result is Σg²; `penalty` is written to `found`."""

    def terms(at: Int) -> Sequence[Lanes]:
        x = load(p + at)
        sign = select(x > 0.0, l1, select(x < 0.0, -l1, 0.0))
        gradient = fma(x, l2 + l2, load(g + at)) + sign
        store(g + at, gradient)
        return gradient * gradient, x * x, magnitude(x)

    norm, squares, sizes = sum_over(vectors, terms, 3)
    write(found, squares * l2 + sizes * l1)
    return norm


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
def erase(row: Int, vectors: Int) -> None:
    for vector in times(vectors):
        store(row + vector * BYTES, 0.0)


@traced
def descend(p: Int, g: Int, vectors: Int, rate: Number) -> Number:
    """p -= rate·g. The result is 0, or NaN when a parameter is no longer finite."""
    check = Variable(ZEROS)
    for vector in times(vectors):
        at = vector * BYTES
        new = load(p + at) - load(g + at) * rate
        store(p + at, new)
        check.value = fma(new, 0.0, check.value)
    return total(check.value)


@traced
def descend_with_momentum(
    p: Int, g: Int, velocity: Int, vectors: Int, rate: Number, momentum: Number, nesterov: Int
) -> Number:
    """v = momentum·v + g, then p -= rate·v, or with Nesterov p -= rate·(g + momentum·v)."""
    check = Variable(ZEROS)
    for vector in times(vectors):
        at = vector * BYTES
        gradient = load(g + at)
        new_velocity = load(velocity + at) * momentum + gradient
        store(velocity + at, new_velocity)
        direction = Variable(new_velocity)
        with when(nesterov != 0):
            direction.value = gradient + new_velocity * momentum
        new = load(p + at) - direction.value * rate
        store(p + at, new)
        check.value = fma(new, 0.0, check.value)
    return total(check.value)
