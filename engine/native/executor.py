"""The native executor: a problem's graph, recorded once and run by the kernels."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator
from itertools import repeat

import numpy as np

from engine.native.setup import job_of, program_of
from engine.native.steps import (
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
    run,
)
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
        while self.step < until and not self.stopped:
            last = min(until, self.step + max(1, self._budget // self._blocks))
            if self.patience is None:
                yield from self._take(last)
            else:
                yield from self._take_patiently(last, self.patience)

    def _take(self, last: int) -> Iterator[list[HistoryRow]]:
        """Goes on to `last` finished updates; ticks in a step that takes longer than a slice."""
        window = make_window(self.problem, self.step, last)
        progress = yield from self._run(window)
        rows = self._rows(window, progress)
        self.step += int(progress[STEP])
        yield rows
        if progress[STATUS] != GOING_ON:
            raise Diverged(self.step)

    def _take_patiently(self, last: int, patience: Patience) -> Iterator[list[HistoryRow]]:
        """The same under early stopping, which may find that the window went too far.

        Then the parameters are put back and the steps up to that point taken once more.
        """
        job, first = self.job, self.step
        before = [array.copy() for array in (job.slots, job.velocity, job.kept)]
        window = make_window(self.problem, first, last)
        progress = yield from self._run(window)
        rows = self._rows(window, progress)
        for seen, loss in enumerate(window.history[: len(rows), VALIDATION_LOSS].tolist()):
            if rows[seen].step >= first + progress[STEP]:
                break
            patience.look(loss)
            if patience.exhausted:
                rows = rows[: seen + 1]
                last = rows[-1].step + 1
                for array, old in zip((job.slots, job.velocity, job.kept), before, strict=True):
                    array[:] = old
                progress = yield from self._run(make_window(self.problem, first, last))
                break
        self.step += int(progress[STEP])
        yield rows
        if progress[STATUS] != GOING_ON:
            raise Diverged(self.step)

    def _run(self, window: Window) -> Generator[list[HistoryRow], None, Integers]:
        """Takes the steps of a window, and says how far it came."""
        progress, sums = np.zeros(6, np.int64), np.zeros((2, WIDTH))
        while True:
            begun = time.perf_counter()
            left = run(self.job, window, progress, sums, self._budget)
            self._pace(self._budget - left, time.perf_counter() - begun)
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


def finite(numbers: Array) -> list[float | None]:
    """The numbers, with None where a history can hold none."""
    found: list[float | None] = numbers.tolist()
    if not np.isfinite(numbers).all():
        found = [x if x is not None and math.isfinite(x) else None for x in found]
    return found
