"""An executor takes the steps of a training; this is what it must do, and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.training.state import HistoryRow, Scores, TrainingState


class Progress(NamedTuple):
    """A slice of training.

    Attributes:
        step: finished updates.
        rows: steps logged since the last Progress.
        snapshot: returns a copy of the state of exactly this step; call it before asking for the
            next Progress.
        finished: whether this is the last Progress.
        evaluate: returns the scores of any parameters of this network, without disturbing the
            training. It takes one number per parameter in the order of the state, and raises
            ValueError where there are more or fewer.
        preprocessing: what the model remembers of its data; the same for the whole training.
    """

    step: int
    rows: list[HistoryRow]
    snapshot: Callable[[], TrainingState]
    finished: bool
    evaluate: Callable[[Array], Scores]
    preprocessing: Preprocessing


class Diverged(Exception):
    """The loss, or a parameter, became infinite or NaN at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss, or a parameter, is no longer a finite number at step {step}")
        self.step = step


class Executor(Protocol):
    """The taker of a training's steps. `scalar` and `native` look the same from outside."""

    step: int
    """Finished updates."""

    @property
    def stopped(self) -> bool:
        """Whether early stopping ended the training at this step."""

    def run(self, until: int) -> Iterator[list[HistoryRow]]:
        """Continues to `until` finished updates, or to where early stopping ends the training.

        About every 50 ms, even in the middle of a step that takes longer, and once at the end
        it yields the rows logged since the last yield. It raises Diverged after it has yielded
        all rows before that step.
        """

    def evaluate(self, parameters: Array) -> Scores:
        """The scores of any parameters of this network, without disturbing the training.

        Raises ValueError unless there is exactly one number per parameter.
        """

    def state(self) -> TrainingState:
        """A copy of the state after `step` finished updates, even in the middle of the next."""
