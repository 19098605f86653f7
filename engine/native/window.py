"""The steps of one call of the kernels: batches, learning rates, which are logged."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Integers
from engine.native.kernel_cache import cached
from engine.native.kernels.batch import shuffle
from engine.native.lanes.values import WIDTH
from engine.native.records import NORM, STEPS, Records, Window
from engine.networks.optimizers import rates
from engine.training.prepared import Problem


def make_window(problem: Problem, first: int, last: int) -> Window:
    """Steps first … last-1: one at least, and none after the training's last."""
    spec = problem.spec
    steps = np.zeros(last - first, STEPS)
    steps["rate"] = rates(spec.optimizer.learning_rate, spec.training.steps, first, last)
    steps["logged"][-first % spec.training.log_every :: spec.training.log_every] = True
    if last == spec.training.steps:
        steps["logged"][-1] = True
    order = put_batches(problem, first, steps)
    return Window(order, steps, np.zeros((NORM + 1, np.count_nonzero(steps["logged"]))))


def put_batches(problem: Problem, first: int, steps: Records) -> Integers:
    """Writes where each step's batch lies in the answer, its examples and scale.

    Which steps are logged is there already.
    """
    batches, targets = problem.batches, problem.training.targets
    validation = padded(batches.rows, 0 if problem.validation is None else len(problem.validation))
    if batches.per_epoch == 1:
        steps["start"], steps["examples"] = validation.size, batches.rows
        if steps["logged"].any():
            steps["scale"] = spread(problem, targets)
        return np.concatenate([validation, padded(0, batches.rows)])
    places = np.arange(first, first + len(steps)) % batches.per_epoch
    steps["examples"] = sizes = np.minimum(batches.size, batches.rows - places * batches.size)
    ends = validation.size + np.cumsum(-(-sizes // WIDTH) * WIDTH)
    steps["start"][0], steps["start"][1:] = validation.size, ends[:-1]
    order = np.empty(int(ends[-1]), np.int64)
    order[: validation.size] = validation
    shuffled = np.empty(batches.rows, np.int64)
    fill_batches(order, steps, shuffled, batches.size, batches.seed, batches.per_epoch, first)
    if problem.spec.classifies():
        steps["scale"] = sizes
        return order
    logged = np.flatnonzero(steps["logged"])
    for size in np.unique(sizes):
        found = logged[sizes[logged] == size]
        examples = order[steps["start"][found, None] + np.arange(size)]
        steps["scale"][found] = spreads(targets[examples])
    return order


def spread(problem: Problem, targets: Array) -> float:
    """What the score of a batch is divided by: its examples, or in a regression `spreads`."""
    if problem.spec.classifies():
        return float(len(targets))
    return float(spreads(targets[None])[0])


def spreads(targets: Array) -> Array:
    """The sums of squared distances from their mean of several batches (batches × examples ×
    targets); NaN where all are the same, as R² is not defined there.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # no score, as in `Problem.score`
        distances = targets - targets.mean(axis=(1, 2), keepdims=True)
        squares = np.sum(distances**2, axis=(1, 2))
    same = targets.max(axis=(1, 2)) == targets.min(axis=(1, 2))
    return np.where(same | (squares == 0.0), np.nan, squares)


def padded(first: int, count: int) -> Integers:
    """So many places from `first` on; the last is repeated up to a whole number of vectors."""
    return first + np.minimum(np.arange(-(-count // WIDTH) * WIDTH), count - 1)


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
        for lane in range(-(-examples // WIDTH) * WIDTH):
            order[start + lane] = shuffled[begin + min(lane, examples - 1)]
