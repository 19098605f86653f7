"""The gradients of weights: gW[m, k] = Σₗ gy[m, l]·x[k, l], a sum over the examples.

Examples lie in the lanes, so there are two ways. `by_lanes` multiplies lane by lane and adds up
the lanes of each result last; that takes a few instructions a weight. `by_examples` first turns
the inputs, so that lanes are columns and each example adds to a row of weights as it lies in
memory; that takes a few instructions an input. The shape decides which is less: with many rows
for the examples of a block the inputs are turned. `kernels.sparse_weights` is a third way,
for the many zeros behind a relu. Names are those of `kernels.products`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from engine.native.kernels.products import (
    HEIGHTS,
    WIDE,
    Tile,
    places,
    product,
    row_tiles,
    vector_tiles,
)
from engine.native.lanes.control import cases, times, when
from engine.native.lanes.memory import Variable, load, load_turned, store
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, ZEROS, Int
from engine.native.lanes.vectors import fma, totals

# Columns and sums of the tiles of `by_lanes`, see HEIGHTS.
COLUMNS, SUMS = (6, 24) if WIDE else (3, 6)

TURNED = 3
"""Vectors of columns that are turned at once, the most that a tile is wide."""


@traced
def weight_gradients(
    gw: Int, pitch: Int, gy: Int, x: Int, stride: Int, rows: Int, columns: Int, vectors: Int,
    bias: Int, turned: Int,
) -> None:  # fmt: skip
    """gW += gy·xᵀ, and gbias += the sums of gy unless `bias` is 0.

    Where a row of gW has fewer than eight numbers left, zeros are added to what follows, which
    must be there. `turned` is room for TURNED vectors per example.
    """
    done = Variable(Int.of(0))
    # Timed: with twice as many rows as vectors lanes are still ahead, with four times no more.
    with when(vectors * 3 < rows):
        by_examples(gw, pitch, gy, x, stride, rows, columns // LANES, vectors, turned)
        done.value = columns // LANES * LANES
    first = done.value
    by_lanes(
        gw + first * 8, pitch, gy, x + first * stride, stride, rows, columns - first, vectors, bias
    )


def by_examples(
    gw: Int, pitch: Int, gy: Int, x: Int, stride: Int, rows: Int, column_vectors: Int,
    vectors: Int, turned: Int,
) -> None:  # fmt: skip
    """The gradients of whole vectors of columns."""
    step = TURNED * BYTES
    for first, width in vector_tiles(column_vectors, HEIGHTS[0]):
        turn(turned, step, x + first * LANES * stride, stride, width, vectors)
        for row, height in row_tiles(rows):
            g = [gy + (row + r) * stride for r in range(height)]
            sums = product(
                [ZEROS] * height, width, g, Int.of(8), turned, Int.of(step), vectors * LANES
            )
            to = gw + row * pitch + first * BYTES
            for address, result in places(to, pitch, sums):
                store(address, load(address) + result)


def turn(turned: Int, step: int, x: Int, stride: Int, width: int, vectors: Int) -> None:
    """Rows x[i, l] become rows turned[l, i], of `width` vectors each and `step` bytes apart."""
    for vector in times(vectors):
        for v in range(width):
            square = load_turned(x + v * LANES * stride + vector * BYTES, stride)
            for example, numbers in enumerate(square):
                store(turned + (vector * LANES + example) * step + v * BYTES, numbers)


def by_lanes(
    gw: Int, pitch: Int, gy: Int, x: Int, stride: Int, rows: Int, columns: Int, vectors: Int,
    bias: Int,
) -> None:  # fmt: skip
    """The gradients of any columns, and of a bias: one more column, whose inputs are all 1."""
    whole = columns // COLUMNS
    for tile in times(whole):
        first = tile * COLUMNS
        for row, height in steps(rows, SUMS // COLUMNS):
            g = gy + row * stride
            sums = outer_product(g, x + first * stride, height, COLUMNS, 0, stride, vectors)
            add_totals(gw + row * pitch + first * 8, pitch, sums)
    # What is left of a row, and a bias: one number for both.
    first = whole * COLUMNS
    endings = {2 * left + b: (left, b) for left in range(COLUMNS) for b in (0, 1)}
    del endings[0]
    for ending in cases((columns - first) * 2 + bias, [*endings]):
        left, b = endings[ending]
        for row, height in steps(rows, min(LANES, SUMS // (left + b))):
            g = gy + row * stride
            sums = outer_product(g, x + first * stride, height, left, b, stride, vectors)
            to = gw + row * pitch + first * 8
            with when(pitch != 8 * (left + b)):
                add_totals(to, pitch, sums)
            # Rows with nothing between them are one long row.
            with when(pitch == 8 * (left + b)):
                add_totals(to, pitch, [[*chain(*sums)]])


def steps(count: Int, size: int) -> Iterator[tuple[Int, int]]:
    """Covers 0 … count-1 in steps of `size`, the rest one by one: (first, size)."""
    whole = count // size * size
    for step in times(count // size):
        yield step * size, size
    if size > 1:
        for step in times(count - whole):
            yield whole + step, 1


def outer_product(
    g: Int, x: Int, height: int, width: int, bias: int, stride: Int, vectors: Int
) -> Tile:
    """Σ g[r, v]·x[c, v] over the vectors v, lane by lane; a bias adds a column of Σ g[r, v]."""
    sums = [[Variable(ZEROS) for _ in range(width + bias)] for _ in range(height)]
    for vector in times(vectors):
        at = vector * BYTES
        left = [load(g + stride * r + at) for r in range(height)]
        for c in range(width):
            right = load(x + stride * c + at)
            for r in range(height):
                sums[r][c].value = fma(left[r], right, sums[r][c].value)
        for r in range(height * bias):
            sums[r][width].value = sums[r][width].value + left[r]
    return [[total.value for total in row] for row in sums]


def add_totals(out: Int, pitch: Int, tile: Tile) -> None:
    """Adds the total over the lanes of each result to the number it belongs to."""
    for r, row in enumerate(tile):
        for first in range(0, len(row), LANES):
            at = out + pitch * r + 8 * first
            store(at, load(at) + totals(row[first : first + LANES]))
