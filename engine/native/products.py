"""The three matrix products of training, for matrices of any shape.

A fused matrix takes the rows of its inputs x (K rows of lanes, one lane an example) to the
rows of its outputs y (M rows), with weights W (M × K, row by row in memory, the bias after
each row when there is one):

    outputs           y[m, l]  = Σₖ W[m, k]·x[k, l] + bias[m]
    input gradients   gx[k, l] = Σₘ W[m, k]·gy[m, l]
    weight gradients  gW[m, k] = Σₗ gy[m, l]·x[k, l],   gbias[m] = Σₗ gy[m, l]

Each is covered with tiles: blocks of results small enough to stay in registers while the sum
runs, so that every number loaded is used several times. The size of the tiles depends on the
registers of the processor; no size changes the order of a sum. `engine.native.plain` has a
twin of each in plain loops; tests hold one against the other.

Addresses and distances are in bytes: `stride` from one row of lanes to the next, `pitch` from
one row of weights to the next; `vectors` counts groups of eight lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from numba.core.registry import cpu_target

from engine.native.tracing import (
    BYTES,
    WIDTH,
    ZEROS,
    Int,
    Lanes,
    Number,
    Variable,
    cases,
    fma,
    load,
    read,
    select,
    store,
    times,
    totals,
    traced,
    when,
)

# How input gradients are written.
OVERWRITE, ACCUMULATE, OVERWRITE_WHERE_POSITIVE = 0, 1, 2


def has_wide_registers() -> bool:
    """Whether a Lanes fits one register and there are 32 of them (AVX-512)."""
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    return "+avx512f" in features.split(",")


# Rows of the product tiles, and columns and sums of the weight tiles. With 32 wide registers 24
# hold sums; with 16 of half the size four or six sums of two registers each.
WIDE = has_wide_registers()
HEIGHTS = (8, 4, 2, 1) if WIDE else (4, 2, 1)
WEIGHT_COLUMNS, WEIGHT_SUMS = (6, 24) if WIDE else (3, 6)

Tile = list[list[Lanes]]
"""The results of a tile, [row][column]."""


@traced
def outputs(
    y: Int, stride: Int, weights: Int, pitch: Int, x: Int, rows: Int, columns: Int,
    vectors: Int, bias: Int, floor: Number,
) -> None:  # fmt: skip
    """y = max(floor, W·x + bias), without bias when `bias` is 0.

    A floor of 0 makes a relu of the results, one of -inf leaves them; NaN stays NaN.
    """
    after = columns * 8
    for row, height in row_tiles(rows):
        numbers = [weights + (row + r) * pitch for r in range(height)]
        start = [select(bias != 0, read(number + after), 0.0) for number in numbers]
        for vector, width in vector_tiles(vectors, height):
            at = vector * BYTES
            tile = product(start, width, numbers, Int.of(8), x + at, stride, columns)
            for address, result in places(y + row * stride + at, stride, tile):
                store(address, select(Lanes.of(floor) > result, floor, result))


@traced
def input_gradients(
    gx: Int, stride: Int, weights: Int, pitch: Int, gy: Int, rows: Int, columns: Int,
    vectors: Int, mode: Int,
) -> None:  # fmt: skip
    """gx ← Wᵀ·gy, written as `mode` says; for OVERWRITE_WHERE_POSITIVE over x itself."""
    for column, height in row_tiles(columns):
        numbers = [weights + (column + r) * 8 for r in range(height)]
        for vector, width in vector_tiles(vectors, height):
            at = vector * BYTES
            tile = product([ZEROS] * height, width, numbers, pitch, gy + at, stride, rows)
            to = gx + column * stride + at
            for case in cases(mode, (OVERWRITE, ACCUMULATE, OVERWRITE_WHERE_POSITIVE)):
                for address, result in places(to, stride, tile):
                    if case == ACCUMULATE:
                        store(address, load(address) + result)
                    elif case == OVERWRITE_WHERE_POSITIVE:
                        store(address, select(load(address) > 0.0, result, 0.0))
                    else:
                        store(address, result)


def row_tiles(rows: Int) -> Iterator[tuple[Int, int]]:
    """Covers rows with the tallest tiles first: (first row, height)."""
    tallest = HEIGHTS[0]
    done = rows // tallest * tallest
    for tile in times(rows // tallest):
        yield tile * tallest, tallest
    for height in HEIGHTS[1:]:
        for _ in times((rows & height) // height):
            yield done, height
        done = done + (rows & height)


def vector_tiles(vectors: Int, height: int) -> Iterator[tuple[Int, int]]:
    """Covers vectors three at a time, under low tiles six at a time: (first vector, width).

    Two and two are better than three and one. With few registers all go one by one.
    """
    if not WIDE:
        for vector in times(vectors):
            yield vector, 1
        return
    done = Int.of(0)
    if height <= 2:
        for tile in times(vectors // 6):
            yield tile * 6, 6
        done = vectors // 6 * 6
    rest = vectors - done
    single = (rest == 1).as_int()
    for _ in times(single):
        yield done, 1
    threes = rest // 3 - (rest % 3 == 1).as_int() + single
    for tile in times(threes):
        yield done + tile * 3, 3
    for tile in times((rest - threes * 3) // 2):
        yield done + threes * 3 + tile * 2, 2


def product(
    start: Sequence[Lanes],
    width: int,
    numbers: Sequence[Int],
    step: Int,
    lanes: Int,
    stride: Int,
    count: Int,
) -> Tile:
    """start[r] + Σₖ numbers[r][k]·lanes[k, v]; the numbers of a row are `step` bytes apart."""
    sums = [[Variable(first) for _ in range(width)] for first in start]
    for k in unrolled(count, 4):
        columns = [load(lanes + k * stride + BYTES * v) for v in range(width)]
        for row, address in zip(sums, numbers, strict=True):
            number = Lanes.of(read(address + k * step))
            for total, column in zip(row, columns, strict=True):
                total.value = fma(number, column, total.value)
    return [[total.value for total in row] for row in sums]


def unrolled(count: Int, size: int) -> Iterator[Int]:
    """0 … count-1, `size` of them a turn of the loop."""
    whole = count // size
    for turn in times(whole):
        for i in range(size):
            yield turn * size + i
    for rest in times(count - whole * size):
        yield whole * size + rest


def places(out: Int, stride: Int, tile: Tile) -> Iterator[tuple[Int, Lanes]]:
    """Each vector of a tile with its address."""
    for r, row in enumerate(tile):
        for v, result in enumerate(row):
            yield out + stride * r + BYTES * v, result


@traced
def weight_gradients(
    gw: Int, pitch: Int, gy: Int, x: Int, stride: Int, rows: Int, columns: Int, vectors: Int,
    bias: Int,
) -> None:  # fmt: skip
    """gW += gy·xᵀ, and gbias += the sums of gy unless `bias` is 0.

    The bias is one more column, whose inputs are all 1. Results are added eight at a time;
    where a row has fewer left, zeros are added to what follows, which must be there.
    """
    whole = columns // WEIGHT_COLUMNS
    for tile in times(whole):
        first = tile * WEIGHT_COLUMNS
        for row, height in steps(rows, WEIGHT_SUMS // WEIGHT_COLUMNS):
            g = gy + row * stride
            sums = outer_product(g, x + first * stride, height, WEIGHT_COLUMNS, 0, stride, vectors)
            add_totals(gw + row * pitch + first * 8, pitch, sums)
    # What is left of a row, and a bias: one number for both.
    first = whole * WEIGHT_COLUMNS
    endings = {2 * left + b: (left, b) for left in range(WEIGHT_COLUMNS) for b in (0, 1)}
    del endings[0]
    for ending in cases((columns - first) * 2 + bias, [*endings]):
        left, b = endings[ending]
        for row, height in steps(rows, min(WIDTH, WEIGHT_SUMS // (left + b))):
            g = gy + row * stride
            sums = outer_product(g, x + first * stride, height, left, b, stride, vectors)
            to = gw + row * pitch + first * 8
            with when(whole != 0):
                add_totals(to, pitch, sums)
            # Narrow rows lie in memory like one long row.
            with when(whole == 0):
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
        for first in range(0, len(row), WIDTH):
            at = out + pitch * r + 8 * first
            store(at, load(at) + totals(row[first : first + WIDTH]))
