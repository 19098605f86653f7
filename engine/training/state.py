"""What training reports: logged rows, the state to go on from, and how it can end badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from engine.arrays import Array


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
    """Enough to go on to the bit. All arrays are float64, one number a parameter, in order.

    Attributes:
        step: finished updates.
        parameters: neuron by neuron in layer order, weights then bias.
        velocity: momentum buffers; None without momentum.
        gradient: what `zero_grad: false` has summed up so far; else None.
        patience: memory of early stopping: the best validation loss, and how many logged
            steps in a row were no better; None without early stopping.
    """

    step: int
    parameters: Array
    velocity: Array | None = None
    gradient: Array | None = None
    patience: tuple[float, int] | None = None

    def arrays(self) -> dict[str, Array]:
        """Everything but the step as named arrays, to be stored; absent parts are left out."""
        found = {
            "parameters": self.parameters,
            "velocity": self.velocity,
            "gradient": self.gradient,
            "patience": None if self.patience is None else np.array(self.patience, np.float64),
        }
        return {name: array for name, array in found.items() if array is not None}

    @classmethod
    def of(cls, step: int, arrays: Mapping[str, Array]) -> State:
        """The inverse of `arrays`."""
        patience = arrays.get("patience")
        return cls(
            step=step,
            parameters=arrays["parameters"],
            velocity=arrays.get("velocity"),
            gradient=arrays.get("gradient"),
            patience=None if patience is None else (float(patience[0]), int(patience[1])),
        )


class Scores(NamedTuple):
    """Loss and score of some parameters over all training rows and all validation rows.

    Accuracy is the fraction of right predictions, or R² in a regression. None stands for what is
    not finite or not defined, and for the validation rows where there are none.
    """

    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None


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
    snapshot: Callable[[], State]
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
        """Goes on to `until` finished updates, or to where early stopping ends it.

        Yields the rows logged since the last yield about every 50 ms, also in the middle of
        a step that takes longer, and once at the end. Raises Diverged after the rows before
        it were yielded.
        """

    def evaluate(self, parameters: Array) -> Scores:
        """The scores of any parameters of this network; the training is not disturbed."""

    def state(self) -> State:
        """A copy of the state after `step` finished updates, also in the middle of the next."""
