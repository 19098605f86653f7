"""Training: a specification in, slices of progress out.

    for progress in train(spec):
        ...

`train` prepares the data once and lets an executor take the steps. An executor is made from a
`PreparedTraining` and, when a run resumes, a `TrainingState`; `engine.training.executor.Executor`
says what it must do.

Whatever decides which numbers a step works on is a pure function of the specification, and
stands once, so that executors cannot disagree about it:

    prepared.training.x, .targets    float64 arrays: split, standardised, encoded for the loss
    prepared.batches.indices(k)      the rows of step k, from (seed, epoch) alone
    schedules.rates(rate, n, a, b)   the learning rates of steps a … b-1 of n
    initialise.build(spec.model, n)  the network with its first parameters, `.parameters()` in
                                     the order of TrainingState.parameters
    prepared.loss(outputs, targets)  the loss of one example, as a graph of Values that is the
                                     same for every example
    batch_loss.example_weight(n, …)  what one example of n counts for in a batch
    prepared.score(outputs, targets) accuracy or R² of a batch
    early_stopping.Patience          early stopping
    optimizers.SGD                   clipping, momentum and the update, in this order

The loss of step k is Σ losses·weight + l2·Σp² + l1·Σ|p|, before update k. A logged step also
has the norm of its gradient before clipping, and the same loss over the validation rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine import moved, native
from engine.data.loading import InvalidData
from engine.spec import JobSpec
from engine.training.executor import Diverged, Executor, Progress
from engine.training.prepared import PreparedTraining, prepare
from engine.training.scalar import ScalarExecutor
from engine.training.state import HistoryRow, Scores, TrainingState

__all__ = [
    "Diverged",
    "HistoryRow",
    "InvalidData",
    "Progress",
    "Scores",
    "TrainingState",
    "replay",
    "state_at",
    "train",
]


def train(spec: JobSpec, start: TrainingState | None = None) -> Iterator[Progress]:
    """Trains, from the beginning or from `start`, and yields about every 50 ms.

    A training from the beginning first yields step 0, before any update. Every multiple of
    `training.checkpoint_every` is yielded too, so that a caller can keep exactly that step. Where
    the slices fall changes no bit of the result, and a run that resumes from any snapshot ends
    with the bits of an undisturbed one.

    Raises:
        InvalidData: the data set cannot be made, or `start` is not a state of this training.
        native.Unavailable: an InvalidData; the native executor cannot run on this machine.
        Diverged: the loss became non-finite. All rows before that step were yielded.
    """
    prepared = prepare(spec)
    executor = make_executor(prepared, start)
    steps, every = spec.training.steps, spec.training.checkpoint_every

    def progress(rows: list[HistoryRow], finished: bool = False) -> Progress:
        return Progress(
            executor.step,
            rows,
            executor.state,
            finished,
            executor.evaluate,
            prepared.preprocessing,
        )

    finished = False
    if start is None:
        yield progress([])
    while not finished:
        until = min(steps, (executor.step // every + 1) * every)
        for rows in executor.run(until):
            finished = executor.step == steps or executor.stopped
            yield progress(rows, finished)


def state_at(spec: JobSpec, step: int, start: TrainingState | None = None) -> TrainingState:
    """The last state of `replay`, for callers that need not look around meanwhile."""
    *_, executor_state = replay(spec, step, start)
    return executor_state()


def replay(
    spec: JobSpec, step: int, start: TrainingState | None = None
) -> Iterator[Callable[[], TrainingState]]:
    """Goes to the state after exactly `step` updates, from `start` or from the beginning.

    Yields about every 50 ms; what it yields last returns the state, which has the bits that the
    training itself had there.

    Raises:
        InvalidData: as `train`; or the training never is at `step`, or is beyond it at `start`.
        Diverged: the training diverges before `step`.
    """
    executor = make_executor(prepare(spec), start)
    if not executor.step <= step <= spec.training.steps:
        raise InvalidData(
            f"step {step} cannot be replayed from step {executor.step} of {spec.training.steps}"
        )
    for _ in executor.run(step):
        yield executor.state
    if executor.step < step:
        raise InvalidData(f"early stopping ends the training at step {executor.step}")
    yield executor.state


EXECUTORS: dict[str, Callable[[PreparedTraining, TrainingState | None], Executor]] = {
    "native": native.make_executor,
    "scalar": ScalarExecutor,
}
"""What makes each executor that a specification may name."""


def make_executor(prepared: PreparedTraining, start: TrainingState | None) -> Executor:
    if start is not None:
        check_state(prepared.spec, start)
    return EXECUTORS[prepared.spec.executor](prepared, start)


def check_state(spec: JobSpec, state: TrainingState) -> None:
    """Raises InvalidData where a state cannot be one of this training."""
    count = spec.parameters()
    if state.parameters.shape != (count,):
        raise InvalidData(
            f"the state has {state.parameters.size} parameters, the network has {count}"
        )
    wanted = {
        "velocity": spec.optimizer.momentum > 0.0,
        "gradient": not spec.training.zero_grad,
        "patience": spec.training.early_stopping is not None,
    }
    arrays = state.arrays()
    for name, needed in wanted.items():
        if needed != (name in arrays):
            raise InvalidData(f"the state has {'no' if needed else 'a'} {name}")
        if needed and name != "patience" and arrays[name].shape != (count,):
            raise InvalidData(f"the {name} of the state has {arrays[name].size} numbers")
    if not 0 <= state.step <= spec.training.steps:
        raise InvalidData(f"the state is of step {state.step} of {spec.training.steps}")


__getattr__ = moved.attributes_from(__name__, "engine.training.state")
