"""A recorded program as a function of its parameters, over given examples.

    function = NativeFunction(record(loss, parameters, inputs), rows)
    function.loss(numbers), function.gradient(numbers)
    parameters, losses = function.descend(numbers, rates)

Any graph, not only a network. `engine.autograd.gradcheck.check_program` takes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from engine.arrays import Array
from engine.compiler.program import Program
from engine.native.allocation import allocate
from engine.native.records import (
    LOSS,
    LOSS_NOT_FINITE,
    NORM,
    STATUS,
    STEP,
    STEP_RECORD,
    StepSettings,
    no_progress,
)
from engine.native.training_loop import run
from engine.native.window import padded


class NativeFunction:
    """The sum of a program's loss over examples, or its mean, and its gradient.

    Threads may share a function; their calls run one after the other, as they work in the same
    memory. Copies run side by side.

    Args:
        program: what to run.
        rows: examples × inputs, in the order in which the program was recorded.
        mean: whether to take the mean.

    Raises:
        ValueError: `rows` has no row, or not one column for each input of the program.
    """

    def __init__(self, program: Program, rows: Array, *, mean: bool = False) -> None:
        self.program = program
        rows = np.asarray(rows, np.float64)
        if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != program.inputs:
            raise ValueError(
                f"the program takes examples × {program.inputs} inputs, not {rows.shape}"
            )
        self._data = np.ascontiguousarray(rows.T)
        self.workspace = allocate(program, self._data, len(rows), StepSettings(mean=mean))
        self.examples = padded(0, len(rows))
        self._memory = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, also one for another process, gets memory of its own.
        return partial(NativeFunction, mean=self.workspace.mean), (self.program, self._data.T)

    def losses(self, parameters: Sequence[float] | Array) -> Array:
        """The loss of each example."""
        with self._memory:
            self._run(parameters, np.zeros(1))
            losses: Array = self.workspace.values[
                0, self.program.loss, : self.workspace.block
            ].copy()
        return losses

    def loss(self, parameters: Sequence[float] | Array) -> float:
        total = float(self.losses(parameters).sum())
        return total / self.workspace.block if self.workspace.mean else total

    def gradient(self, parameters: Sequence[float] | Array) -> Array:
        """The derivative of `loss` by each parameter; NaN where the loss is not finite."""
        gradient = np.full(len(self.program.order), np.nan)
        with self._memory:
            if self._run(parameters, np.zeros(1))[1] != LOSS_NOT_FINITE:
                gradient[self.program.order] = self.workspace.gradients[: len(gradient)]
        return gradient

    def descend(
        self, parameters: Sequence[float] | Array, rates: Sequence[float] | Array
    ) -> tuple[Array, Array]:
        """Gradient descent: one step for each learning rate.

        Returns the parameters after the last step, and the loss before each. Where a number
        is no longer finite it ends early, with as many losses as steps were finished.
        """
        last = np.empty(len(self.program.order))
        with self._memory:
            losses, _ = self._run(parameters, np.asarray(rates, np.float64))
            last[self.program.order] = self.workspace.slots[: len(last)]
        return last, losses

    def _run(self, parameters: Sequence[float] | Array, rates: Array) -> tuple[Array, int]:
        """Takes steps; returns the losses of those finished, and how it ended.

        The caller holds the lock until it has read the results.
        """
        order = self.program.order
        numbers = np.asarray(parameters, np.float64)
        if numbers.shape != order.shape:
            raise ValueError(f"the program has {len(order)} parameters, not {numbers.shape}")
        self.workspace.slots[: len(order)] = numbers[order]
        steps = len(rates)
        window = np.zeros(steps, STEP_RECORD)
        window["examples"], window["rate"], window["logged"] = self.workspace.block, rates, True
        history, progress = np.zeros((NORM + 1, steps)), no_progress(steps)
        run(self.workspace.record, self.examples, window, history, progress, steps + 1)
        return history[LOSS, : progress[STEP]], int(progress[STATUS])
