"""What training reports: logged rows, the state to go on from, and how it can end badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class HistoryRow(NamedTuple):
    """One logged step, in the order of the history's columns.

    The numbers belong to the parameters before update `step`; loss and accuracy to that
    step's batch. Accuracy is the fraction of right answers, or R² in a regression; None
    where it is not defined.
    """

    step: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    gradient_norm: float | None


@dataclass(frozen=True, slots=True)
class State:
    """Enough to go on to the bit.

    Attributes:
        step: finished updates.
        parameters: float64, neuron by neuron in layer order, weights then bias.
        velocity: momentum buffers in the same order; None without momentum.
        gradient: what `zero_grad: false` has summed up so far, same order; else None.
    """

    step: int
    parameters: Array
    velocity: Array | None = None
    gradient: Array | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A slice of training.

    Attributes:
        step: finished updates.
        rows: steps logged since the last Progress.
        snapshot: copies the state of exactly this step; call it before asking for the next.
        finished: True in the last Progress.
    """

    step: int
    rows: list[HistoryRow]
    snapshot: Callable[[], State]
    finished: bool


class Diverged(Exception):
    """The loss, or a parameter, became infinite or NaN at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is no longer a finite number at step {step}")
        self.step = step


class Executor(Protocol):
    """Takes steps. `scalar` and `native` differ in nothing else that training can see."""

    step: int
    """Finished updates."""

    def run(self, until: int) -> Iterator[list[HistoryRow]]:
        """Goes on to `until` finished updates.

        Yields the rows logged since the last yield, at least every SLICE seconds as far as
        it can, also in the middle of a step, and at the end. Raises Diverged after the rows
        before it were yielded.
        """

    def state(self) -> State:
        """A copy of the state after `step` finished updates."""
