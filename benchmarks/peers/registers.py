"""The floor: fused multiply-adds on registers, with nothing to load or to store."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from benchmarks.cases import Case, network
from benchmarks.peers import Work
from benchmarks.peers.numpy import flops
from engine.native.kernels.weights import SUMS
from engine.native.lanes.control import times
from engine.native.lanes.memory import Variable, store
from engine.native.lanes.traced import traced
from engine.native.lanes.values import BYTES, LANES, ZEROS, Int, Lanes, Number
from engine.native.lanes.vectors import fma


@traced
def multiply_and_add(out: Int, turns: Int, number: Number) -> None:
    # As many sums side by side as the registers hold, because each waits for its last term.
    sums = [Variable(ZEROS) for _ in range(SUMS)]
    factor = Lanes.of(number)
    for _ in times(turns):
        for part in sums:
            part.value = fma(factor, factor, part.value)
    for i, part in enumerate(sums):
        store(out + i * BYTES, part.value)


@njit
def run(out, turns):  # type: ignore[no-untyped-def]
    multiply_and_add(out.ctypes.data, turns, 1e-9)


def products(case: Case, steps: int) -> Work:
    """The floating-point operations of the steps' matrix products."""
    turns = steps * flops(network(case, steps)) // (2 * LANES * SUMS)
    out = np.empty(SUMS * LANES)

    def work() -> Sequence[float]:
        run(out, turns)
        return []

    return work
