"""The steps of one call of the kernels: batches, learning rates, which are logged."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from engine.native.batch import shuffle
from engine.native.cache import cached
from engine.native.jobs import VALIDATION_SCORE, Window
from engine.native.tracing import WIDTH
from engine.optim import rates
from engine.problem import Problem
from engine.program import Integers
from engine.progress import Array


def make_window(problem: Problem, first: int, last: int) -> Window:
    """Steps first … last-1."""
    spec = problem.spec
    starts, sizes, order = batches_of(problem, first, last)
    steps = np.arange(first, last)
    every = spec.training.log_every
    logged = (steps % every == 0) | (steps == spec.training.steps - 1)
    return Window(
        order=order,
        starts=starts,
        sizes=sizes,
        rates=rates(spec.optimizer.learning_rate, spec.training.steps, first, last),
        logged=logged.astype(np.int64),
        history=np.zeros((int(logged.sum()), VALIDATION_SCORE + 1)),
    )


def batches_of(problem: Problem, first: int, last: int) -> tuple[Integers, Integers, Integers]:
    """Where each step's batch starts, its size, and the examples: `Window` says how they lie."""
    batches = problem.batches
    validation = padded(batches.rows, 0 if problem.validation is None else len(problem.validation))
    if batches.per_epoch == 1:
        order = np.concatenate([validation, padded(0, batches.rows)])
        starts = np.full(last - first, validation.size)
        return starts, np.full(last - first, batches.rows), order
    places = np.arange(first, last) % batches.per_epoch
    sizes = np.minimum(batches.size, batches.rows - places * batches.size)
    ends = validation.size + np.cumsum(-(-sizes // WIDTH) * WIDTH)
    starts = np.concatenate([[validation.size], ends[:-1]])
    order = np.empty(int(ends[-1]), np.int64)
    order[: validation.size] = validation
    shuffled = np.empty(batches.rows, np.int64)
    fill_batches(
        order, starts, sizes, shuffled, batches.size, batches.seed, batches.per_epoch, first
    )
    return starts, sizes, order


def score_scale(problem: Problem, window: Window, places: Integers) -> Array:
    """What the score of each logged step's batch is divided by, see `spread`."""
    sizes = window.sizes[places]
    scale = np.empty(len(places))
    for size in np.unique(sizes):
        found = np.flatnonzero(sizes == size)
        starts = window.starts[places[found]]
        if problem.batches.per_epoch == 1:
            starts = starts[:1]
        examples = window.order[starts[:, None] + np.arange(size)]
        scale[found] = spread(problem, problem.training.targets[examples])
    return scale


def spread(problem: Problem, targets: Array) -> Array:
    """Examples in each of several batches (batches × examples × targets) of a classification.

    In a regression the sum of squared distances of the targets from their mean; NaN where
    all are the same, as a score is not defined there.
    """
    if problem.spec.classifies():
        return np.full(len(targets), float(targets.shape[1]))
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
    order: Integers, starts: Integers, sizes: Integers, shuffled: Integers, size: int, seed: int,
    per_epoch: int, first: int,
) -> None:  # fmt: skip
    """Writes the batches of steps first, first + 1, … into `order`."""
    epoch = -1
    for i in range(starts.size):
        step = first + i
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            shuffle(shuffled.ctypes.data, shuffled.size, seed, epoch)
        begin = step % per_epoch * size
        for lane in range(-(-sizes[i] // WIDTH) * WIDTH):
            order[starts[i] + lane] = shuffled[begin + min(lane, sizes[i] - 1)]
