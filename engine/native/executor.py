"""The native executor: the graph of one example, recorded once and run by the kernels."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence

import numpy as np

from engine.arrays import Array
from engine.compiler.program import Program
from engine.native.allocation import program_of, workspace_of
from engine.native.records import VALIDATION_LOSS
from engine.native.window import Window
from engine.training.early_stopping import Patience
from engine.training.evaluation import check_length, finite, full_batch
from engine.training.executor import Diverged
from engine.training.initialise import build
from engine.training.prepared import PreparedTraining
from engine.training.state import HistoryRow, Scores, TrainingState

SLICE_SECONDS = 0.05
"""Seconds between two ticks, when the caller gets control."""

FIRST_BUDGET = 64
"""Blocks of the first slice, when nothing is known yet about how long one takes."""

UNLIMITED = 2**62


class NativeExecutor:
    """Takes steps with compiled kernels; see `engine.training.executor.Executor`."""

    def __init__(
        self,
        prepared: PreparedTraining,
        start: TrainingState | None = None,
        program: Program | None = None,
    ) -> None:
        """`program` is that of an earlier recording; it needs a `start`."""
        spec = prepared.spec
        self.prepared = prepared
        if start is None or program is None:
            model = build(spec.model, prepared.training.x.shape[1])
            program = program_of(prepared, model)
        self.program = program
        self.workspace = workspace_of(prepared, self.program)
        self.step = 0
        self.patience: Patience | None = None
        if spec.training.early_stopping is not None:
            memory = None if start is None else start.patience
            self.patience = Patience(spec.training.early_stopping, memory)
        if start is None:
            self._put(self.workspace.slots, np.array([p.data for p in model.parameters()]))
        else:
            self.step = start.step
            self._put(self.workspace.slots, start.parameters)
            self._put(self.workspace.velocity, start.velocity)
            self._put(self.workspace.kept, start.gradient)
        self._window: Window | None = None
        self._budget = FIRST_BUDGET
        self._blocks = -(-prepared.batches.size // self.workspace.block)
        if prepared.validation is not None:
            self._blocks += -(-len(prepared.validation) // self.workspace.block)

    @property
    def stopped(self) -> bool:
        return self.patience is not None and self.patience.exhausted

    def state(self) -> TrainingState:
        spec = self.prepared.spec
        return TrainingState(
            step=self.step,
            parameters=self._get(self.workspace.slots),
            velocity=self._get(self.workspace.velocity) if spec.optimizer.momentum else None,
            gradient=None if spec.training.zero_grad else self._get(self.workspace.kept),
            patience=None if self.patience is None else self.patience.memory,
        )

    def evaluate(self, parameters: Array) -> Scores:
        check_length(self.prepared, parameters)
        start = TrainingState(step=0, parameters=parameters)
        other = NativeExecutor(full_batch(self.prepared), start, self.program)
        window = other._window_to(1)
        for _ in other._run(window, 1):
            pass
        return Scores(*map(finite, window.first_scores()))

    def _put(self, slots: Array, numbers: Array | None) -> None:
        """Lays numbers in the model's order down in the program's."""
        if numbers is not None:
            slots[: len(self.program.order)] = numbers[self.program.order]

    def _get(self, slots: Array) -> Array:
        numbers = np.empty(len(self.program.order))
        numbers[self.program.order] = slots[: len(self.program.order)]
        return numbers

    def run(self, until: int) -> Iterator[list[HistoryRow]]:
        until = min(until, self.prepared.spec.training.steps)
        if self.step >= until or self.stopped:
            yield []
        while self.step < until and not self.stopped:
            if self.patience is None:
                yield from self._take(until)
            else:
                yield from self._take_patiently(until)

    def _take(self, until: int) -> Iterator[list[HistoryRow]]:
        """Continues the window, or begins the next one."""
        window = self._window or self._next_window(self.prepared.spec.training.steps)
        yield from self._run(window, until)
        self.step = window.step
        self._window = window if self.step < window.last else None
        yield window.new_rows()
        if window.diverged:
            raise Diverged(self.step)

    def _take_patiently(self, until: int) -> Iterator[list[HistoryRow]]:
        """Continues to the end of a window, or to where early stopping ends it."""
        patience, before = copy.copy(self.patience), self._copies()
        window = self._next_window(until)
        yield from self._run(window, until)
        rows, finished = window.new_rows(), window.step
        stop = look(patience, window.arrays.history, rows, finished)
        if stop < finished:
            # It went too far: once more from where it began, to the right place.
            self._restore(before)
            window = self._window_to(stop)
            yield from self._run(window, stop)
            rows = [row for row in rows if row.step < stop]
        self.step, self.patience = window.step, patience
        yield rows
        if window.diverged:
            raise Diverged(self.step)

    def _next_window(self, until: int) -> Window:
        """As many steps as about a slice has room for, one at least."""
        steps = max(1, self._budget // self._blocks)
        return self._window_to(min(until, self.step + steps))

    def _window_to(self, last: int) -> Window:
        return Window(self.prepared, self.step, last)

    def _copies(self) -> list[Array]:
        """Copies of the arrays that kernels change."""
        workspace = self.workspace
        return [array.copy() for array in (workspace.slots, workspace.velocity, workspace.kept)]

    def _restore(self, copies: Sequence[Array]) -> None:
        workspace = self.workspace
        for array, old in zip(
            (workspace.slots, workspace.velocity, workspace.kept), copies, strict=True
        ):
            array[:] = old

    def _run(self, window: Window, until: int) -> Iterator[list[HistoryRow]]:
        """Takes the steps of a window, but none from `until` on.

        Ticks in the middle of a step that takes longer than a slice; such a step is a window
        of its own, so the parameters are always those of `step` when it does.
        """
        while window.has_steps(until):
            budget = self._budget if window.last - window.first == 1 else UNLIMITED
            begun = time.perf_counter()
            left = window.run(self.workspace, until, budget)
            self._pace(budget - left, time.perf_counter() - begun)
            if window.has_steps(until):
                yield []

    def _pace(self, blocks: int, seconds: float) -> None:
        """Sets the budget of the next call to what takes about a slice."""
        fitting = int(blocks * SLICE_SECONDS / max(seconds, 1e-9))
        self._budget = max(1, min(fitting, 8 * self._budget))


def look(
    patience: Patience | None, history: Array, rows: Sequence[HistoryRow], finished: int
) -> int:
    """Shows early stopping the logged steps; returns the step at which the training ends."""
    losses = history[VALIDATION_LOSS].tolist()
    for row, loss in zip(rows, losses, strict=False):
        # A step that diverged is not finished, though it has a row.
        if patience is not None and row.step < finished:
            patience.look(loss)
            if patience.exhausted:
                return row.step + 1
    return finished
