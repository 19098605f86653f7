"""The native executor: a problem's graph, recorded once and run by the kernels."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np

from engine.native.jobs import (
    GOING_ON,
    LOGGED,
    LOSS,
    NORM,
    SCORE,
    STATUS,
    STEP,
    VALIDATION_LOSS,
    VALIDATION_SCORE,
    Window,
)
from engine.native.setup import job_of, program_of
from engine.native.steps import run
from engine.native.tracing import WIDTH
from engine.native.windows import make_window, score_scale, spread
from engine.nn import build
from engine.problem import Problem
from engine.program import Integers, Program
from engine.progress import Array, Diverged, HistoryRow, State
from engine.stopping import Patience

SLICE = 0.05
"""Seconds between two looks outside."""

FIRST_BUDGET = 64
"""Blocks of the first slice, when nothing is known yet about how long one takes."""

UNLIMITED = 2**62


class NativeExecutor:
    """Takes steps with compiled kernels; see `engine.progress.Executor`."""

    def __init__(self, problem: Problem, start: State | None = None) -> None:
        spec = problem.spec
        self.problem = problem
        model = build(spec.model, problem.training.x.shape[1])
        self.program: Program = program_of(problem, model)
        self.job = job_of(problem, self.program)
        self.step = 0
        self.patience: Patience | None = None
        if spec.training.early_stopping is not None:
            memory = None if start is None else start.patience
            self.patience = Patience(spec.training.early_stopping, memory)
        if start is None:
            self._put(self.job.slots, np.array([p.data for p in model.parameters()]))
        else:
            self.step = start.step
            self._put(self.job.slots, start.parameters)
            self._put(self.job.velocity, start.velocity)
            self._put(self.job.kept, start.gradient)
        self._budget = FIRST_BUDGET
        self._blocks = -(-problem.batches.size // self.job.block)
        self.validation_scale = np.empty(0)
        if problem.validation is not None:
            self._blocks += -(-len(problem.validation) // self.job.block)
            self.validation_scale = spread(problem, problem.validation.targets[None])

    @property
    def stopped(self) -> bool:
        return self.patience is not None and self.patience.exhausted

    def state(self) -> State:
        spec = self.problem.spec
        return State(
            step=self.step,
            parameters=self._get(self.job.slots),
            velocity=self._get(self.job.velocity) if spec.optimizer.momentum else None,
            gradient=None if spec.training.zero_grad else self._get(self.job.kept),
            patience=None if self.patience is None else self.patience.memory,
        )

    def _put(self, slots: Array, numbers: Array | None) -> None:
        """Lays numbers in the model's order down in the program's."""
        if numbers is not None:
            slots[: len(self.program.order)] = numbers[self.program.order]

    def _get(self, slots: Array) -> Array:
        numbers = np.empty(len(self.program.order))
        numbers[self.program.order] = slots[: len(self.program.order)]
        return numbers

    def run(self, until: int) -> Iterator[list[HistoryRow]]:
        if self.step >= until or self.stopped:
            yield []
        while self.step < until and not self.stopped:
            yield from self._take(min(until, self.step + max(1, self._budget // self._blocks)))

    def _take(self, last: int) -> Iterator[list[HistoryRow]]:
        """Goes on to `last` finished updates, or to where early stopping ends it."""
        window = make_window(self.problem, self.step, last)
        patience, before = copy.copy(self.patience), self._copies()
        progress = yield from self._run(window)
        rows = self._rows(window, progress)
        finished = self.step + int(progress[STEP])
        stop = look(patience, window, rows, finished)
        if stop < finished:
            # It went too far: once more from where it began, to the right place.
            self._restore(before)
            progress = yield from self._run(make_window(self.problem, self.step, stop))
            rows = [row for row in rows if row.step < stop]
            finished = stop
        self.step, self.patience = finished, patience
        yield rows
        if progress[STATUS] != GOING_ON:
            raise Diverged(self.step)

    def _copies(self) -> list[Array]:
        """What the kernels change, where it may have to be put back."""
        job = self.job
        changed = (job.slots, job.velocity, job.kept) if self.patience else ()
        return [array.copy() for array in changed]

    def _restore(self, copies: Sequence[Array]) -> None:
        job = self.job
        for array, old in zip((job.slots, job.velocity, job.kept), copies, strict=True):
            array[:] = old

    def _run(self, window: Window) -> Generator[list[HistoryRow], None, Integers]:
        """Takes the steps of a window, and says how far it came.

        Ticks in the middle of a step that takes longer than a slice; such a step is a window
        of its own, so the parameters are always those of `step` when it does.
        """
        progress, sums = np.zeros(6, np.int64), np.zeros((2, WIDTH))
        while True:
            budget = self._budget if len(window.rates) == 1 else UNLIMITED
            begun = time.perf_counter()
            left = run(self.job, window, progress, sums, budget)
            self._pace(budget - left, time.perf_counter() - begun)
            if progress[STEP] == len(window.rates) or progress[STATUS] != GOING_ON:
                return progress
            yield []

    def _pace(self, blocks: int, seconds: float) -> None:
        """Sets the budget of the next call to what takes about a slice."""
        fitting = int(blocks * SLICE / max(seconds, 1e-9))
        self._budget = max(1, min(fitting, 8 * self._budget))

    def _rows(self, window: Window, progress: Integers) -> list[HistoryRow]:
        """The logged steps of a window as a history has them."""
        numbers = window.history[: progress[LOGGED]]
        places = np.flatnonzero(window.logged)[: len(numbers)]
        losses: Iterable[float | None] = repeat(None)
        scores: Iterable[float | None] = repeat(None)
        if self.problem.validation is not None:
            losses = finite(numbers[:, VALIDATION_LOSS])
            scores = self._scores(numbers[:, VALIDATION_SCORE], self.validation_scale)
        return list(
            map(
                HistoryRow,
                (self.step + places).tolist(),
                numbers[:, LOSS].tolist(),
                self._scores(numbers[:, SCORE], score_scale(self.problem, window, places)),
                losses,
                scores,
                window.rates[places].tolist(),
                finite(numbers[:, NORM]),
            )
        )

    def _scores(self, totals: Array, scale: Array) -> list[float | None]:
        """Accuracies, or in a regression R²: `Problem.score` of sums over a batch."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = totals / scale
        return finite(shares if self.problem.spec.classifies() else 1.0 - shares)


def look(
    patience: Patience | None, window: Window, rows: Sequence[HistoryRow], finished: int
) -> int:
    """Shows early stopping the logged steps; answers where it ends the training."""
    losses = window.history[:, VALIDATION_LOSS].tolist()
    for row, loss in zip(rows, losses, strict=False):
        # A step that diverged is not finished, though it has a row.
        if patience is not None and row.step < finished:
            patience.look(loss)
            if patience.exhausted:
                return row.step + 1
    return finished


def finite(numbers: Array) -> list[float | None]:
    """The numbers, with None where a history can hold none."""
    found: list[float | None] = numbers.tolist()
    if not np.isfinite(numbers).all():
        found = [x if x is not None and math.isfinite(x) else None for x in found]
    return found
