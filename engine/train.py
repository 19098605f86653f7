"""Training: a specification in, slices of progress out.

    for progress in train(spec):
        ...

`train` prepares the data once and lets an executor take the steps: `ScalarExecutor` runs the
Value graph as it stands. An executor is made from a `Problem` and, when a run goes on, a
`State`; see `engine.progress.Executor` for what it must do. Everything that decides which
steps are taken (rows, batches, learning rates, which steps are logged) is a pure function of
the specification and lives in `Problem`, so executors cannot disagree about it.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.data import InvalidData
from engine.problem import Problem, prepare
from engine.progress import Array, Diverged, Executor, HistoryRow, Progress, State
from engine.scalar import ScalarExecutor
from engine.spec import JobSpec

__all__ = ["Array", "Diverged", "HistoryRow", "InvalidData", "Progress", "State", "train"]


def train(spec: JobSpec, start: State | None = None) -> Iterator[Progress]:
    """Trains, from the beginning or from `start`, and yields about every 50 ms.

    Also yields at every multiple of `training.checkpoint_every`, so that a caller can keep
    exactly that step. Where the slices fall changes no bit of the result, and a run that goes
    on from any snapshot ends with the bits of an undisturbed one.

    Raises:
        InvalidData: the data set cannot be made, or `start` belongs to another network.
        Diverged: the loss became non-finite. All rows before that step were yielded.
    """
    problem = prepare(spec)
    executor = make_executor(problem, start)
    steps, every = spec.training.steps, spec.training.checkpoint_every
    while executor.step < steps:
        until = min(steps, (executor.step // every + 1) * every)
        for rows in executor.run(until):
            yield Progress(executor.step, rows, executor.state, executor.step == steps)
    if start is not None and start.step == steps:
        yield Progress(steps, [], executor.state, True)


def make_executor(problem: Problem, start: State | None) -> Executor:
    expected = problem.spec.parameters()
    if start is not None and start.parameters.shape != (expected,):
        raise InvalidData(
            f"the state has {start.parameters.size} parameters, the network has {expected}"
        )
    return ScalarExecutor(problem, start)
