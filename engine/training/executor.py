"""An executor takes the steps of a training; this is what it must do, and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from engine.arrays import Array
from engine.training.state import HistoryRow, Scores, TrainingState


class Progress(NamedTuple):
    """A slice of training.

    Attributes:
        step: finished updates.
        rows: steps logged since the last Progress.
        snapshot: copies the state of exactly this step; call it before asking for the next.
        finished: True in the last Progress.
        evaluate: the scores of any parameters of this network (one number per parameter, in the
            order of the state); the training is not disturbed.
    """

    step: int
    rows: list[HistoryRow]
    snapshot: Callable[[], TrainingState]
    finished: bool
    evaluate: Callable[[Array], Scores]


class Diverged(Exception):
    """The loss, or a parameter, became infinite or NaN at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss, or a parameter, is no longer a finite number at step {step}")
        self.step = step


class Executor(Protocol):
    """Takes steps. `scalar` and `native` differ in nothing that training can see."""

    step: int
    """Finished updates."""

    @property
    def stopped(self) -> bool:
        """Whether early stopping ended the training at this step."""

    def run(self, until: int) -> Iterator[list[HistoryRow]]:
        """Trains up to `until` finished updates, or to where early stopping ends it.

        Yields the rows logged since the last yield about every 50 ms, also in the middle of
        a step that takes longer, and once at the end. Raises Diverged after the rows before
        it were yielded.
        """

    def evaluate(self, parameters: Array) -> Scores:
        """The scores of any parameters of this network; the training is not disturbed."""

    def state(self) -> TrainingState:
        """A copy of the state after `step` finished updates, also in the middle of the next."""
