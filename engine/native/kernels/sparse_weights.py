"""Gradients of weights where many numbers of gy are exactly 0, as a relu's rule leaves them.

A row of weights gets Σₑ gy[m, e]·x[:, e] over the examples e. The tiles of
`kernels.weights` multiply by every gy[m, e]; here each row goes from one example that is
not 0 to the next, as bits of a mask. That is fewer multiplications and more instructions for
each: timed, where half of the numbers are 0 it takes two thirds of the time, where a quarter
are as much. Names are those of `kernels.products`.

Only 0·x is left out. (If x is infinite, that would be NaN, which is lost here.)
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.native.kernels.products import WIDE
from engine.native.kernels.weights import turn
from engine.native.lanes.control import set_bits, times, when
from engine.native.lanes.memory import Variable, load, read, read_int, store, write_byte, write_int
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, Int, Lanes
from engine.native.lanes.vectors import fma, mask, not_zero, ones, parts, smaller

WIDTHS = (8, 4) if WIDE else (4,)
"""Vectors of columns whose sums a row keeps in registers; fewer are not worth the turning."""

CHUNK = 8
"""Vectors of examples that are turned at once: as many as a mask has bytes."""


@traced
def weight_gradients(
    gw: Int, pitch: Int, gy: Int, x: Int, stride: Int, rows: Int, columns: Int, vectors: Int,
    turned: Int, masks: Int,
) -> Int:  # fmt: skip
    """gW += gy·xᵀ for the first columns; returns how many, 0 where that is slower.

    `turned` is room for `room` vectors, `masks` for 64 bits for each row and CHUNK of vectors.
    """
    done = Variable(Int.of(0))
    # Fewer examples, or columns, are not worth the masks.
    with when((vectors >= CHUNK) & (columns >= WIDTHS[-1] * LANES)):
        found = find(masks, gy, stride, rows, vectors)
        with when(found * 3 < rows * vectors * (2 * LANES)):
            by_nonzeros(gw, pitch, gy, x, stride, rows, columns // LANES, vectors, masks, turned)
            done.value = covered(columns)
    return done.value


def room(lanes: int) -> int:
    """Vectors that are turned at once, for a number of lanes per row."""
    return CHUNK * LANES * WIDTHS[0] if lanes >= CHUNK * LANES else 0


def find(masks: Int, gy: Int, stride: Int, rows: Int, vectors: Int) -> Int:
    """Sets a bit for each number that is not 0; returns how many those are."""
    found, words = Variable(Int.of(0)), parts(vectors, CHUNK)
    for row in times(rows):
        own = masks + row * words * 8
        write_int(own + (words - 1) * 8, Int.of(0))  # the last may have bytes without a vector
        for vector in times(vectors):
            bits = mask(not_zero(load(gy + row * stride + vector * BYTES)))
            write_byte(own + vector, bits)
            found.value = found.value + ones(bits)
    return found.value


def masks_of(rows: int, vectors: int) -> int:
    """The number of masks of a number of rows."""
    return rows * parts(vectors, CHUNK)


def tiles(vectors: Int) -> Iterator[tuple[Int, int]]:
    """Covers vectors with the widest tiles first, but for a rest: (first vector, width)."""
    done = Int.of(0)
    for width in WIDTHS:
        count = (vectors - done) // width
        for tile in times(count):
            yield done + tile * width, width
        done = done + count * width


def covered(numbers: Int) -> Int:
    """How many numbers in a row `tiles` cover."""
    narrowest = WIDTHS[-1] * LANES
    return numbers // narrowest * narrowest


def by_nonzeros(
    gw: Int, pitch: Int, gy: Int, x: Int, stride: Int, rows: Int, column_vectors: Int,
    vectors: Int, masks: Int, turned: Int,
) -> None:  # fmt: skip
    """gW += gy·xᵀ over the vectors of columns that the tiles cover."""
    for vector, width in tiles(column_vectors):
        first = vector * LANES
        for chunk in times(parts(vectors, CHUNK)):
            begin = chunk * CHUNK
            here = begin * BYTES
            size = smaller(vectors - begin, CHUNK)
            turn(turned, width * BYTES, x + first * stride + here, stride, width, size)
            for row in times(rows):
                bits = read_int(masks + (row * parts(vectors, CHUNK) + chunk) * 8)
                to = gw + row * pitch + first * 8
                add_terms(to, bits, gy + row * stride + here, Int.of(8), turned, width)


def add_terms(to: Int, bits: Int, numbers: Int, step: Int, turned: Int, width: int) -> None:
    """Adds numbers[i]·turned[i] to `width` vectors of sums for each bit i.

    The numbers are `step` bytes apart.
    """
    places = [to + v * BYTES for v in range(width)]
    sums = [Variable(load(place)) for place in places]
    for i in set_bits(bits):
        number = Lanes.of(read(numbers + i * step))
        for v, part in enumerate(sums):
            at = turned + (i * width + v) * BYTES
            part.value = fma(number, load(at), part.value)
    for place, part in zip(places, sums, strict=True):
        store(place, part.value)
