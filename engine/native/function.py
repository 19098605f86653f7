"""A recorded program as a function of its parameters, over given examples.

    function = NativeFunction(record(loss, parameters, inputs), rows)
    function.loss(numbers), function.gradient(numbers)

`engine.gradcheck.check_program` takes one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.native.setup import allocate
from engine.native.steps import LOSS_NOT_FINITE, STATUS, Window, run
from engine.native.tracing import WIDTH
from engine.native.windows import padded
from engine.program import Program
from engine.progress import Array


class NativeFunction:
    """The sum of a program's loss over examples, and its gradient.

    Args:
        program: what to run.
        rows: examples × inputs, in the order in which the program was recorded.
    """

    def __init__(self, program: Program, rows: Array) -> None:
        self.program = program
        self.job = allocate(program, np.ascontiguousarray(rows.T), len(rows))

    def losses(self, parameters: Sequence[float] | Array) -> Array:
        """The loss of each example."""
        self._run(parameters)
        losses: Array = self.job.values[0, self.program.loss, : self.job.block].copy()
        return losses

    def loss(self, parameters: Sequence[float] | Array) -> float:
        return float(self.losses(parameters).sum())

    def gradient(self, parameters: Sequence[float] | Array) -> Array:
        """The derivative of `loss` by each parameter; NaN where the loss is not finite."""
        order = self.program.order
        gradient = np.full(len(order), np.nan)
        if self._run(parameters):
            gradient[order] = self.job.gradients[: len(order)]
        return gradient

    def _run(self, parameters: Sequence[float] | Array) -> bool:
        """One step at a learning rate of 0; answers whether the loss is finite."""
        order, examples = self.program.order, self.job.block
        self.job.slots[: len(order)] = np.asarray(parameters, np.float64)[order]
        window = Window(
            order=padded(np.arange(examples)),
            starts=np.zeros(1, np.int64),
            sizes=np.full(1, examples),
            rates=np.zeros(1),
            logged=np.zeros(1, np.int64),
            history=np.zeros((0, 5)),
        )
        progress = np.zeros(6, np.int64)
        run(self.job, window, progress, np.zeros((2, WIDTH)), 2)
        return bool(progress[STATUS] != LOSS_NOT_FINITE)
