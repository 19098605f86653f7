"""Outputs and input gradients where many of the numbers are exactly 0, as a relu leaves them.

    outputs           y[:, l]  = Σₖ x[k, l]·W[:, k] + bias
    input gradients   gx[:, l] = Σₘ gy[m, l]·W[m, :]

The tiles of `engine.native.products` multiply by every number of an example l. Here each example
goes from one number that is not 0 to the next, as bits of a mask, and adds a column of the
weights, or a row; its sums lie side by side and are turned last. Every sum is formed in the order
of the tiles, so the bits are theirs. Names are those of `engine.native.products`.

What is left out is 0·w. (Were w infinite, there would be NaN, and here there is not.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.native.products import write_tile
from engine.native.tracing import (
    BYTES,
    WIDTH,
    ZEROS,
    Int,
    Lanes,
    Number,
    Variable,
    lanes_of,
    load,
    load_turned,
    mask,
    not_zero,
    ones,
    read,
    read_int,
    select,
    smaller,
    store,
    times,
    traced,
    when,
    with_bit,
)
from engine.native.weights import turn
from engine.native.zeros import CHUNK, WIDTHS, Whole, add_terms

TERMS = 64
"""Terms of a sum whose weights are laid out at once: as many as a mask has bits."""


@traced
def outputs(
    y: Int, stride: Int, weights: Int, pitch: Int, x: Int, rows: Int, columns: Int,
    vectors: Int, bias: Int, floor: Number, turned: Int, masks: Int,
) -> Int:  # fmt: skip
    """y = max(floor, W·x + bias) for the first rows; the answer is how many, none where that is
    slower. `turned` is room for `room` vectors, `masks` for `words` integers.
    """

    def start(first: Int, width: int) -> list[Lanes]:
        biases = [
            lanes_of(
                [read(weights + (first + (v + i)) * pitch + columns * 8) for i in range(WIDTH)]
            )
            for v in range(0, width * WIDTH, WIDTH)
        ]
        return [select(bias != 0, numbers, 0.0) for numbers in biases]

    def lay_out(first: Int, begin: Int, size: Int, width: int) -> None:
        at = weights + first * pitch + begin * 8
        turn(turned, width * BYTES, at, pitch, width, (size + (WIDTH - 1)) // WIDTH)

    def finish(row: Int, vector: Int, results: Sequence[Lanes]) -> None:
        for i, result in enumerate(results):
            at = y + (row + i) * stride + vector * BYTES
            store(at, select(Lanes.of(floor) > result, floor, result))

    return by_nonzeros(rows, columns, x, stride, vectors, turned, masks, start, lay_out, finish)


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

    return by_nonzeros(columns, rows, gy, stride, vectors, turned, masks, start, lay_out, finish)


def room(lanes: int) -> int:
    """Vectors of laid out weights, and of the sums of so many examples."""
    return (TERMS + lanes) * WIDTHS[0] if lanes >= CHUNK * WIDTH else 0


def words(lanes: int, rows: int) -> int:
    """Masks for as many rows as a matrix of the program can have."""
    return lanes * chunks(rows)


def chunks(terms: Whole) -> Whole:
    """How many masks an example has."""
    return (terms + (TERMS - 1)) // TERMS


def by_nonzeros(
    results: Int, terms: Int, numbers: Int, stride: Int, vectors: Int, turned: Int, masks: Int,
    start: Callable[[Int, int], list[Lanes]],
    lay_out: Callable[[Int, Int, Int, int], None],
    finish: Callable[[Int, Int, Sequence[Lanes]], None],
) -> Int:  # fmt: skip
    """Sums over the terms of numbers[term, example]·weights; the answer is how many it formed.

    Args:
        start: (first result, width) → what so many vectors of sums begin with.
        lay_out: (first result, first term, terms, width) lays weights down in `turned`.
        finish: (first result, vector) takes eight results of eight examples.
    """
    done = Variable(Int.of(0))
    # Fewer examples, results or terms are not worth the masks.
    with when((vectors >= CHUNK) & (results >= WIDTHS[-1] * WIDTH) & (terms >= TERMS // 2)):
        found = find(masks, numbers, stride, terms, vectors)
        with when(found * 3 < terms * vectors * (2 * WIDTH)):
            sums = turned + TERMS * WIDTHS[0] * BYTES
            for width in WIDTHS:
                tiles = (results // WIDTH - done.value) // width
                for tile in times(tiles):
                    first = (done.value + tile * width) * WIDTH
                    begin_sums(sums, start(first, width), vectors)
                    for chunk in times(chunks(terms)):
                        begin = chunk * TERMS
                        lay_out(first, begin, smaller(terms - begin, TERMS), width)
                        for example in times(vectors * WIDTH):
                            bits = read_int(masks + (chunk * vectors * WIDTH + example) * 8)
                            at = numbers + begin * stride + example * 8
                            add_terms(
                                sums + example * (width * BYTES), bits, at, stride, turned, width
                            )
                    for vector in times(vectors):
                        for v in range(width):
                            own = sums + (vector * (WIDTH * width) + v) * BYTES
                            turned_back = load_turned(own, Int.of(width * BYTES))
                            finish(first + v * WIDTH, vector, turned_back)
                done.value = done.value + tiles * width
    return done.value * WIDTH


def begin_sums(sums: Int, start: Sequence[Lanes], vectors: Int) -> None:
    for example in times(vectors * WIDTH):
        for v, numbers in enumerate(start):
            store(sums + (example * len(start) + v) * BYTES, numbers)


def find(masks: Int, numbers: Int, stride: Int, terms: Int, vectors: Int) -> Int:
    """Sets a bit for each number of an example that is not 0; the answer is how many those are.

    Masks of the same terms lie side by side, one an example.
    """
    found = Variable(Int.of(0))
    for chunk in times(chunks(terms)):
        begin = chunk * TERMS
        for vector in times(vectors):
            own = Variable(ZEROS)
            for term in times(smaller(terms - begin, TERMS)):
                where = not_zero(load(numbers + (begin + term) * stride + vector * BYTES))
                own.value = with_bit(own.value, where, term)
                found.value = found.value + ones(mask(where))
            store(masks + (chunk * vectors + vector) * BYTES, own.value)
    return found.value
