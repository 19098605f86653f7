"""A window of steps on its way through the kernels, and its logged steps as a history has them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
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
    UNTIL,
    VALIDATION_LOSS,
    VALIDATION_SCORE,
    Job,
    no_progress,
)
from engine.native.steps import run
from engine.native.tracing import WIDTH
from engine.native.windows import make_window, score_scale
from engine.problem import Problem
from engine.progress import Array, HistoryRow

# A HistoryRow of seven numbers at once: by its constructor a million rows take twice as long.
make_row = partial(tuple.__new__, HistoryRow)


class Stretch:
    """Steps first … last-1 of a problem. What it needs is computed once, wherever it stops.

    Attributes:
        step: finished updates, those before the stretch too.
        diverged: whether the loss or a parameter became infinite or NaN at this step.
    """

    def __init__(
        self, problem: Problem, first: int, last: int, validation_scale: Array | None
    ) -> None:
        self.problem = problem
        self.first, self.last = first, last
        self.window = make_window(problem, first, last)
        self.step = first
        self.diverged = False
        self._progress, self._sums = no_progress(), np.zeros((2, WIDTH))
        self._given = self._logged = 0
        places = np.flatnonzero(self.window.logged)
        self._places = (first + places).tolist()
        self._rates = self.window.rates[places].tolist()
        self._scale = score_scale(problem, self.window, places)
        self._validation_scale = validation_scale

    def goes_on(self, until: int) -> bool:
        """Whether there are steps to take before `until`."""
        return self.step < min(until, self.last) and not self.diverged

    def run(self, job: Job, until: int, budget: int) -> int:
        """Takes steps before `until`; `budget` and the answer are those of `steps.run`."""
        self._progress[UNTIL] = min(until, self.last) - self.first
        left: int = run(job, self.window, self._progress, self._sums, budget)
        progress = self._progress.tolist()
        self.step, self._logged = self.first + progress[STEP], progress[LOGGED]
        self.diverged = progress[STATUS] != GOING_ON
        return left

    def new_rows(self) -> list[HistoryRow]:
        """The steps logged since it was asked last."""
        new = slice(self._given, self._logged)
        self._given = self._logged
        numbers = self.window.history[new]
        losses: Iterable[float | None] = repeat(None)
        scores: Iterable[float | None] = repeat(None)
        if self._validation_scale is not None:
            losses = finite(numbers[:, VALIDATION_LOSS].tolist())
            scores = self._scores(numbers[:, VALIDATION_SCORE], self._validation_scale)
        columns = zip(
            self._places[new],
            numbers[:, LOSS].tolist(),
            self._scores(numbers[:, SCORE], self._scale[new]),
            losses,
            scores,
            self._rates[new],
            finite(numbers[:, NORM].tolist()),
            strict=False,  # a repeated None has no end
        )
        return [*map(make_row, columns)]

    def _scores(self, totals: Array, scale: Array) -> list[float | None]:
        """Accuracies, or in a regression R²: `Problem.score` of sums over a batch."""
        shares = totals / scale
        return finite((shares if self.problem.spec.classifies() else 1.0 - shares).tolist())


def finite(numbers: list[float]) -> list[float | None]:
    """The numbers, with None where a history can hold none."""
    if math.isfinite(sum(numbers)):
        return [*numbers]
    return [x if math.isfinite(x) else None for x in numbers]
