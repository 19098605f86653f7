"""Examples that have a part in the gradient, side by side.

Where the margin of an example holds, or a maximum takes the other side, the rule of the loss
hands on exactly 0, and all that the backward pass would make of it is 0 too. A scalar engine
could stop there, node by node; with eight examples per vector those that continue are moved
together first. Which they are depends on the numbers alone, so nothing has to be remembered.

(Where numbers have become so large that a 0 would meet an infinity, the scalar engine gets a
NaN. Here there is one only while too many examples continue for any to be moved.)
"""

from __future__ import annotations

from engine.native.lanes.control import set_bits, times, when
from engine.native.lanes.memory import Variable, load, read_int, store, write_int
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, Int
from engine.native.lanes.vectors import first_lanes, mask, not_zero, ones, select


@traced
def count(gradient: Int, vectors: Int) -> Int:
    """How many examples of a row are not 0."""
    found = Variable(Int.of(0))
    for vector in times(vectors):
        found.value = found.value + ones(mask(not_zero(load(gradient + vector * BYTES))))
    return found.value


@traced
def find(places: Int, gradient: Int, vectors: Int) -> None:
    """Writes the places where a row is not 0, and the last of them up to a whole vector."""
    end = Variable(places)
    for vector in times(vectors):
        for lane in set_bits(mask(not_zero(load(gradient + vector * BYTES)))):
            write_int(end.value, vector * LANES + lane)
            end.value = end.value + 8
    last = read_int(end.value - 8)
    for more in range(LANES - 1):
        write_int(end.value + more * 8, last)


@traced
def clear_after(gradient: Int, count: Int) -> None:
    """Makes a row 0 from its example `count` on, up to the next whole vector."""
    with when(count % LANES != 0):
        at = gradient + count // LANES * BYTES
        store(at, select(first_lanes(count % LANES), load(at), 0.0))
