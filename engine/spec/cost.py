"""What training a job takes, estimated from its specification alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

# Measured as the growth of a worker's resident memory, and rounded up. Recording the graph of
# 2 million parameters as Values takes 955 bytes for each of them.
BYTES_PER_PARAMETER = 1_000
BYTES_PER_UNIT = 10_000
# A number of the inputs is one of Python's in the specification and five of float64 in arrays;
# one of the targets is only in the arrays.
BYTES_PER_INPUT = 72
BYTES_PER_TARGET = 40

# How much longer the scalar executor takes for the same work; the measured factor is 35,000.
SCALAR_FACTOR = 10_000


class Memory(NamedTuple):
    """Bytes of memory by what needs them."""

    parameters: int
    inputs: int
    targets: int

    @property
    def total(self) -> int:
        return sum(self)


def parameter_count(sizes: Sequence[int]) -> int:
    """The weights and biases of a network with these inputs and units of each layer."""
    return sum((n + 1) * m for n, m in itertools.pairwise(sizes))


def memory(sizes: Sequence[int], rows: int, columns: int, *, one_hot: bool) -> Memory:
    """About how many bytes of memory a worker needs, beside those that it needs for any job.

    `columns`: the numbers per row of the data set, which become the inputs.
    `one_hot`: each row has as many targets as there are output units, and not one.
    """
    outputs = sizes[-1]
    targets = rows * outputs * BYTES_PER_TARGET + 8 * outputs * outputs if one_hot else 0
    return Memory(
        parameters=parameter_count(sizes) * BYTES_PER_PARAMETER + sum(sizes) * BYTES_PER_UNIT,
        inputs=rows * max(sizes[0], columns) * BYTES_PER_INPUT,
        targets=targets,
    )
