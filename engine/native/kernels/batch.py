"""Examples: the rows of a batch, how they get into the lanes, and the scores of outputs."""

from __future__ import annotations

from engine.data.batches import GOLDEN
from engine.native.lanes.control import times, when
from engine.native.lanes.memory import Variable, load, read, read_int, store, write_int
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, ZEROS, Bit, Int, builder
from engine.native.lanes.vectors import first_lanes, fma, lanes_of, parts, select

SIGN, LARGEST, ERROR = 0, 1, 2
"""How outputs are scored: right when the sign of the output is that of the target, right when
output and target are largest at the same place, or by the squared distance."""


def mix(z: Int) -> Int:
    """`engine.data.batches.mix` on a symbol."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


@traced
def shuffle(order: Int, rows: Int, seed: Int, epoch: Int) -> None:
    """Fills `order` with what `engine.data.batches.shuffled` gives."""
    for i in times(rows):
        write_int(order + i * 8, i)
    state = Variable(mix((seed << 32) | epoch))
    for done in times(rows - 1):
        i = rows - 1 - done
        state.value = state.value + GOLDEN
        here = order + i * 8
        there = order + ((mix(state.value) >> 32) * (i + 1) >> 32) * 8
        kept = read_int(here)
        write_int(here, read_int(there))
        write_int(there, kept)


@traced
def gather(
    to: Int, stride: Int, inputs: Int, data: Int, pitch: Int, rows: Int, vectors: Int
) -> None:
    """Row i of the values = column `rows[lane]` of row i of the data, `pitch` bytes per row."""
    for vector in times(vectors):
        places = [read_int(rows + (vector * LANES + lane) * 8) * 8 for lane in range(LANES)]
        for i in times(inputs):
            source = data + i * pitch
            numbers = lanes_of([read(source + place) for place in places])
            store(to + i * stride + vector * BYTES, numbers)


@traced
def add_scores(
    sums: Int, kind: Int, values: Int, stride: Int, outputs: Int, units: Int, target: Int,
    examples: Int,
) -> None:  # fmt: skip
    """Adds the scores of a block to eight sums.

    `outputs` points to the numbers of the `units` rows of the model's outputs, `target`
    is the first of as many rows of targets, side by side.
    """
    result = Variable(load(sums))
    for vector in times(parts(examples, LANES)):
        at = values + vector * BYTES
        score = Variable(ZEROS)
        with when(kind == SIGN):
            output = load(at + read_int(outputs) * stride)
            right = same(output > 0.0, load(at + target * stride) > 0.0)
            score.value = select(right, 1.0, 0.0)
        with when(kind == LARGEST):
            best = load(at + read_int(outputs) * stride), load(at + target * stride)
            tops = [Variable(x) for x in best]
            places = [Variable(ZEROS) for _ in best]
            here = Variable(ZEROS)
            for unit in times(units):
                rows = read_int(outputs + unit * 8), target + unit
                for row, top, place in zip(rows, tops, places, strict=True):
                    x = load(at + row * stride)
                    larger = x > top.value
                    top.value = select(larger, x, top.value)
                    place.value = select(larger, here.value, place.value)
                here.value = here.value + 1.0
            score.value = select(places[0].value == places[1].value, 1.0, 0.0)
        with when(kind == ERROR):
            for unit in times(units):
                output = load(at + read_int(outputs + unit * 8) * stride)
                error = load(at + (target + unit) * stride) - output
                score.value = fma(error, error, score.value)
        real = first_lanes(examples - vector * LANES)
        result.value = result.value + select(real, score.value, 0.0)
    store(sums, result.value)


def same(a: Bit, b: Bit) -> Bit:
    return ~Bit(builder().xor(a.ir, b.ir))
