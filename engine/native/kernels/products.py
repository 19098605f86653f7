"""The matrix products of training, for matrices of any shape.

A fused matrix takes the rows of its inputs x (K rows of lanes, one lane per example) to the
rows of its outputs y (M rows), with weights W (M × K, row by row in memory, the bias after
each row when there is one):

    outputs           y[m, l]  = Σₖ W[m, k]·x[k, l] + bias[m]
    input gradients   gx[k, l] = Σₘ W[m, k]·gy[m, l]
    weight gradients  gW[m, k] = Σₗ gy[m, l]·x[k, l],   gbias[m] = Σₗ gy[m, l]

Each is covered with tiles: blocks of results small enough to stay in registers while the sum
runs, so that every number loaded is used several times. The size of the tiles depends on the
registers of the processor; no size changes the order of a sum. The weight gradients are in
`kernels.weights`; `kernels.sparse` and `sparse_weights` leave out what is 0 in
large matrices. `kernels.plain` has a twin of each in plain loops; tests hold one against
the other.

Addresses and distances are in bytes: `stride` from one row of lanes to the next, `pitch` from
one row of weights to the next; `vectors` counts groups of eight lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numba.core.registry import cpu_target

from engine.native.lanes.control import cases, times
from engine.native.lanes.memory import Variable, load, read, store
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, ZEROS, Int, Lanes, Number
from engine.native.lanes.vectors import fma, select

# How input gradients are written.
OVERWRITE, ACCUMULATE, OVERWRITE_WHERE_POSITIVE = 0, 1, 2


def has_wide_registers() -> bool:
    """Whether a Lanes fits one register and there are 32 of them (AVX-512)."""
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    return "+avx512f" in features.split(",")


# Rows of the tiles. With 32 wide registers 24 hold sums; with 16 of half the size four sums of
# two registers each.
WIDE = has_wide_registers()
HEIGHTS = (8, 4, 2, 1) if WIDE else (4, 2, 1)

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
            write_tile(gx + column * stride + at, stride, tile, mode)


def write_tile(out: Int, stride: Int, tile: Tile, mode: Int) -> None:
    for case in cases(mode, (OVERWRITE, ACCUMULATE, OVERWRITE_WHERE_POSITIVE)):
        for address, result in places(out, stride, tile):
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
