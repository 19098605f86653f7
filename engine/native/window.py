"""Windows: some steps of a training, with their batches and learning rates, that kernels take."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import repeat

import numpy as np

from engine.arrays import Array, Integers
from engine.native.kernel_cache import cached
from engine.native.kernels.batch import shuffle
from engine.native.lanes.values import LANES
from engine.native.records import (
    GOING_ON,
    LOGGED,
    NORM,
    STATUS,
    STEP,
    STEP_RECORD,
    UNTIL,
    Records,
    StepArrays,
    Workspace,
    no_progress,
)
from engine.native.training_loop import run
from engine.spec.schedules import rates
from engine.training.prepared import PreparedTraining
from engine.training.state import HistoryRow


def step_arrays(prepared: PreparedTraining, first: int, last: int) -> StepArrays:
    """Steps first … last-1: one at least, and none after the training's last."""
    spec = prepared.spec
    steps = np.zeros(last - first, STEP_RECORD)
    steps["rate"] = rates(spec.optimizer.learning_rate, spec.training.steps, first, last)
    steps["logged"][-first % spec.training.log_every :: spec.training.log_every] = True
    if last == spec.training.steps:
        steps["logged"][-1] = True
    order = put_batches(prepared, first, steps)
    return StepArrays(order, steps, np.zeros((NORM + 1, np.count_nonzero(steps["logged"]))))


def put_batches(prepared: PreparedTraining, first: int, steps: Records) -> Integers:
    """Writes the place of each step's batch in the result, its examples and its scale.

    Which steps are logged is there already.
    """
    batches, targets = prepared.batches, prepared.training.targets
    validation = padded(
        batches.rows, 0 if prepared.validation is None else len(prepared.validation)
    )
    if batches.per_epoch == 1:
        steps["start"], steps["examples"] = validation.size, batches.rows
        if steps["logged"].any():
            steps["scale"] = spread(prepared, targets)
        return np.concatenate([validation, padded(0, batches.rows)])
    places = np.arange(first, first + len(steps)) % batches.per_epoch
    steps["examples"] = sizes = np.minimum(batches.size, batches.rows - places * batches.size)
    ends = validation.size + np.cumsum(-(-sizes // LANES) * LANES)
    steps["start"][0], steps["start"][1:] = validation.size, ends[:-1]
    order = np.empty(int(ends[-1]), np.int64)
    order[: validation.size] = validation
    shuffled = np.empty(batches.rows, np.int64)
    fill_batches(order, steps, shuffled, batches.size, batches.seed, batches.per_epoch, first)
    if prepared.spec.classifies():
        steps["scale"] = sizes
        return order
    logged = np.flatnonzero(steps["logged"])
    for size in np.unique(sizes):
        found = logged[sizes[logged] == size]
        examples = order[steps["start"][found, None] + np.arange(size)]
        steps["scale"][found] = spreads(targets[examples])
    return order


def spread(prepared: PreparedTraining, targets: Array) -> float:
    """The divisor of the score of a batch: its examples, or in a regression `spreads`."""
    if prepared.spec.classifies():
        return float(len(targets))
    return float(spreads(targets[None])[0])


def spreads(targets: Array) -> Array:
    """The sums of squared distances from their mean of several batches (batches × examples ×
    targets); NaN where all are the same, as R² is not defined there.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # no score, as in `PreparedTraining.score`
        distances = targets - targets.mean(axis=(1, 2), keepdims=True)
        squares = np.sum(distances**2, axis=(1, 2))
    same = targets.max(axis=(1, 2)) == targets.min(axis=(1, 2))
    return np.where(same | (squares == 0.0), np.nan, squares)


def padded(first: int, count: int) -> Integers:
    """`count` places from `first` on; the last is repeated up to a whole number of vectors."""
    return first + np.minimum(np.arange(-(-count // LANES) * LANES), count - 1)


@cached
def fill_batches(
    order: Integers, steps: Records, shuffled: Integers, size: int, seed: int, per_epoch: int,
    first: int,
) -> None:  # fmt: skip
    """Writes the batches of steps first, first + 1, … into `order`."""
    epoch = -1
    for i in range(steps.size):
        start, examples = steps[i].start, steps[i].examples
        step = first + i
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            shuffle(shuffled.ctypes.data, shuffled.size, seed, epoch)
        begin = step % per_epoch * size
        for lane in range(-(-examples // LANES) * LANES):
            order[start + lane] = shuffled[begin + min(lane, examples - 1)]


# A HistoryRow of seven numbers at once: by its constructor a million rows take twice as long.
make_row = partial(tuple.__new__, HistoryRow)

NOTHING = repeat(None), repeat(None)
"""The columns of the validation where there is none."""


class Window:
    """Steps first … last-1 of a training. Batches and rates are computed once, wherever it stops.

    Attributes:
        step: finished updates, those before the window too.
        diverged: whether the loss or a parameter became infinite or NaN at this step.
    """

    def __init__(self, prepared: PreparedTraining, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.arrays = step_arrays(prepared, first, last)
        self.step = first
        self.diverged = False
        self._validates = prepared.validation is not None
        self._progress = no_progress()
        self._given = self._logged = 0
        steps = self.arrays.steps
        places = np.flatnonzero(steps["logged"])
        self._places: list[int] = (first + places).tolist()
        self._rates: list[float] = steps["rate"][places].tolist()

    def has_steps(self, until: int) -> bool:
        """Whether there are steps to take before `until`."""
        return self.step < min(until, self.last) and not self.diverged

    def run(self, workspace: Workspace, until: int, budget: int) -> int:
        """Takes steps before `until`; `budget` and the result are those of `training_loop.run`."""
        self._progress[UNTIL] = min(until, self.last) - self.first
        left: int = run(workspace.record, *self.arrays, self._progress, budget)
        progress = self._progress.tolist()
        self.step, self._logged = self.first + progress[STEP], progress[LOGGED]
        self.diverged = progress[STATUS] != GOING_ON
        return left

    def first_scores(self) -> list[float]:
        """Loss, score, validation loss and validation score of the first logged step.

        They are there once the step was taken, also where its loss is not finite.
        """
        scores: list[float] = self.arrays.history[:NORM, 0].tolist()
        return scores if self._validates else [*scores[:2], math.nan, math.nan]

    def new_rows(self) -> list[HistoryRow]:
        """The steps logged since the last call."""
        new = slice(self._given, self._logged)
        self._given = self._logged
        loss, score, *validation, norm = self.arrays.history[:, new].tolist()
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
    """The numbers, with None where one is not finite."""
    if math.isfinite(sum(numbers)):
        return numbers
    return [x if math.isfinite(x) else None for x in numbers]
