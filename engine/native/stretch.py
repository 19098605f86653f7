"""A window of steps on its way through the kernels, and its logged steps as a history has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import repeat

import numpy as np

from engine.native.records import (
    GOING_ON,
    LOGGED,
    STATUS,
    STEP,
    UNTIL,
    Job,
    no_progress,
)
from engine.native.training_loop import run
from engine.native.window import make_window
from engine.training.prepared import Problem
from engine.training.state import HistoryRow

# A HistoryRow of seven numbers at once: by its constructor a million rows take twice as long.
make_row = partial(tuple.__new__, HistoryRow)

NOTHING = repeat(None), repeat(None)
"""The columns of a validation that does not take place."""


class Stretch:
    """Steps first … last-1 of a problem. What it needs is computed once, wherever it stops.

    Attributes:
        step: finished updates, those before the stretch too.
        diverged: whether the loss or a parameter became infinite or NaN at this step.
    """

    def __init__(self, problem: Problem, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.window = make_window(problem, first, last)
        self.step = first
        self.diverged = False
        self._validates = problem.validation is not None
        self._progress = no_progress()
        self._given = self._logged = 0
        steps = self.window.steps
        places = np.flatnonzero(steps["logged"])
        self._places: list[int] = (first + places).tolist()
        self._rates: list[float] = steps["rate"][places].tolist()

    def goes_on(self, until: int) -> bool:
        """Whether there are steps to take before `until`."""
        return self.step < min(until, self.last) and not self.diverged

    def run(self, job: Job, until: int, budget: int) -> int:
        """Takes steps before `until`; `budget` and the answer are those of `steps.run`."""
        self._progress[UNTIL] = min(until, self.last) - self.first
        left: int = run(job.record, *self.window, self._progress, budget)
        progress = self._progress.tolist()
        self.step, self._logged = self.first + progress[STEP], progress[LOGGED]
        self.diverged = progress[STATUS] != GOING_ON
        return left

    def new_rows(self) -> list[HistoryRow]:
        """The steps logged since it was asked last."""
        new = slice(self._given, self._logged)
        self._given = self._logged
        loss, score, *validation, norm = self.window.history[:, new].tolist()
        columns = zip(
            self._places[new],
            loss,
            finite(score),
            *(map(finite, validation) if self._validates else NOTHING),
            self._rates[new],
            finite(norm),
            strict=False,  # NOTHING has no end
        )
        return [*map(make_row, columns)]


def finite(numbers: list[float]) -> Sequence[float | None]:
    """The numbers, with None where a history can hold none."""
    if math.isfinite(sum(numbers)):
        return numbers
    return [x if math.isfinite(x) else None for x in numbers]
