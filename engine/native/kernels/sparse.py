"""Outputs and input gradients where many of the numbers are exactly 0, as a relu leaves them.

    outputs           y[:, l]  = Σₖ x[k, l]·W[:, k] + bias
    input gradients   gx[:, l] = Σₘ gy[m, l]·W[m, :]

The tiles of `kernels.products` multiply by every number of example l. Here each example
goes from one number that is not 0 to the next, as bits of a mask, and adds a column of the
weights, or a row; its sums lie side by side and are turned last. Names are those of
`kernels.products`.

Every sum is formed in the order of the tiles and only terms 0·w are left out, so the bits are
theirs, but for a sum of -0, which stays -0. Weights that are not finite are left to the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.native.kernels.products import write_tile
from engine.native.kernels.sparse_weights import WIDTHS, add_terms, covered, tiles
from engine.native.kernels.weights import turn
from engine.native.lanes.control import times, when
from engine.native.lanes.memory import Variable, load, load_turned, read, read_int, store
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, ZEROS, Bit, Int, Lanes, Number
from engine.native.lanes.vectors import (
    fma,
    lanes_of,
    mask,
    not_zero,
    ones,
    parts,
    select,
    smaller,
    total,
    with_bit,
)

TERMS = 64
"""Terms of a sum whose weights are laid out at once: as many as a mask has bits."""

LEAST_RESULTS, LEAST_TERMS, LEAST_VECTORS = 32, 32, 8
"""Sizes from which the masks pay. Timed: below one of them the tiles are as fast."""


@traced
def outputs(
    y: Int, stride: Int, weights: Int, pitch: Int, x: Int, rows: Int, columns: Int,
    vectors: Int, bias: Int, floor: Number, turned: Int, masks: Int,
) -> Int:  # fmt: skip
    """y = max(floor, W·x + bias) for the first rows; returns how many, 0 where that is
    slower. `turned` is room for `room` vectors, `masks` for `masks_of` integers.
    """

    def start(first: Int, width: int) -> list[Lanes]:
        biases = [
            lanes_of(
                [read(weights + (first + (v + i)) * pitch + columns * 8) for i in range(LANES)]
            )
            for v in range(0, width * LANES, LANES)
        ]
        return [select(bias != 0, numbers, 0.0) for numbers in biases]

    def lay_out(first: Int, begin: Int, size: Int, width: int) -> None:
        at = weights + first * pitch + begin * 8
        turn(turned, width * BYTES, at, pitch, width, parts(size, LANES))

    def finish(row: Int, vector: Int, results: Sequence[Lanes]) -> None:
        for i, result in enumerate(results):
            at = y + (row + i) * stride + vector * BYTES
            store(at, select(Lanes.of(floor) > result, floor, result))

    done = Variable(Int.of(0))
    with when(worth_it(rows, columns, x, stride, vectors, weights, rows * pitch // 8, masks)):
        by_nonzeros(rows, columns, x, stride, vectors, turned, masks, start, lay_out, finish)
        done.value = covered(rows)
    return done.value


@traced
def input_gradients(
    gx: Int, stride: Int, weights: Int, pitch: Int, gy: Int, rows: Int, columns: Int,
    vectors: Int, mode: Int, turned: Int, masks: Int,
) -> Int:  # fmt: skip
    """gx ← Wᵀ·gy, written as `mode` says, for the first columns; else as `outputs`."""

    def start(first: Int, width: int) -> list[Lanes]:
        return [ZEROS] * width

    def lay_out(first: Int, begin: Int, size: Int, width: int) -> None:
        for i in times(size):
            at = weights + (begin + i) * pitch + first * 8
            for v in range(width):
                store(turned + (i * width + v) * BYTES, load(at + v * BYTES))

    def finish(column: Int, vector: Int, results: Sequence[Lanes]) -> None:
        to = gx + column * stride + vector * BYTES
        write_tile(to, stride, [[result] for result in results], mode)

    done = Variable(Int.of(0))
    with when(worth_it(columns, rows, gy, stride, vectors, weights, rows * pitch // 8, masks)):
        by_nonzeros(columns, rows, gy, stride, vectors, turned, masks, start, lay_out, finish)
        done.value = covered(columns)
    return done.value


def room(lanes: int, rows: int) -> int:
    """Vectors that are turned, for a number of lanes per row and of rows of the program."""
    enough = lanes >= LEAST_VECTORS * LANES and rows >= LEAST_RESULTS + LEAST_TERMS
    return (TERMS + lanes) * WIDTHS[0] if enough else 0


def masks_of(lanes: int, rows: int) -> int:
    """The number of masks of a number of examples."""
    return lanes * parts(rows, TERMS)


def worth_it(
    results: Int, terms: Int, numbers: Int, stride: Int, vectors: Int, weights: Int, count: Int,
    masks: Int,
) -> Bit:  # fmt: skip
    """Whether it takes less time than the tiles; then the masks are laid down.

    `count` is how many weights there are.
    """
    worth, glance = Variable(Int.of(0)), Int.of(1)
    # Most matrices without zeros show it in their first eight examples.
    with (
        when(vectors >= LEAST_VECTORS),
        when((results >= LEAST_RESULTS) & (terms >= LEAST_TERMS)),
        when(find(masks, numbers, stride, terms, glance) * 4 < terms * (3 * LANES)),
        when(find(masks, numbers, stride, terms, vectors) * 5 < terms * vectors * (3 * LANES)),
    ):
        worth.value = all_finite(weights, count).as_int()
    return worth.value != 0


def all_finite(numbers: Int, count: Int) -> Bit:
    """Whether none of the numbers is infinite or NaN."""
    check, rest = Variable(ZEROS), Variable(Number.of(0.0))
    for vector in times(count // LANES):
        check.value = fma(load(numbers + vector * BYTES), 0.0, check.value)
    for i in times(count % LANES):
        rest.value = rest.value + read(numbers + (count // LANES * LANES + i) * 8) * 0.0
    return total(check.value) + rest.value == 0.0


def by_nonzeros(
    results: Int, terms: Int, numbers: Int, stride: Int, vectors: Int, turned: Int, masks: Int,
    start: Callable[[Int, int], list[Lanes]],
    lay_out: Callable[[Int, Int, Int, int], None],
    finish: Callable[[Int, Int, Sequence[Lanes]], None],
) -> None:  # fmt: skip
    """Sums over the terms of numbers[term, example]·weights, for the results that tiles cover.

    Args:
        start: (first result, width) → the start values of that many vectors of sums.
        lay_out: (first result, first term, terms, width) lays weights down in `turned`.
        finish: (first result, vector) takes eight results of eight examples.
    """
    sums = turned + TERMS * WIDTHS[0] * BYTES
    for tile, width in tiles(results // LANES):
        first = tile * LANES
        begin_sums(sums, start(first, width), vectors)
        for chunk in times(parts(terms, TERMS)):
            begin = chunk * TERMS
            lay_out(first, begin, smaller(terms - begin, TERMS), width)
            for example in times(vectors * LANES):
                bits = read_int(masks + (chunk * vectors * LANES + example) * 8)
                at = numbers + begin * stride + example * 8
                add_terms(sums + example * (width * BYTES), bits, at, stride, turned, width)
        for vector in times(vectors):
            for v in range(width):
                own = sums + (vector * (LANES * width) + v) * BYTES
                finish(first + v * LANES, vector, load_turned(own, Int.of(width * BYTES)))


def begin_sums(sums: Int, start: Sequence[Lanes], vectors: Int) -> None:
    for example in times(vectors * LANES):
        for v, numbers in enumerate(start):
            store(sums + (example * len(start) + v) * BYTES, numbers)


def find(masks: Int, numbers: Int, stride: Int, terms: Int, vectors: Int) -> Int:
    """Sets a bit for each number of an example that is not 0; returns how many those are.

    Masks of the same terms lie side by side, one per example.
    """
    found = Variable(Int.of(0))
    for chunk in times(parts(terms, TERMS)):
        begin = chunk * TERMS
        for vector in times(vectors):
            own = Variable(ZEROS)
            for term in times(smaller(terms - begin, TERMS)):
                where = not_zero(load(numbers + (begin + term) * stride + vector * BYTES))
                own.value = with_bit(own.value, where, term)
                found.value = found.value + ones(mask(where))
            store(masks + (chunk * vectors + vector) * BYTES, own.value)
    return found.value
