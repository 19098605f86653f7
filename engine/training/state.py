"""Reports of a training: its logged rows, the state to resume from, and how it can end badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from engine.arrays import Array


class HistoryRow(NamedTuple):
    """One logged step, in the order of the history's columns.

    All numbers are those of the parameters before update `step`; loss and accuracy are those of
    that step's batch. Accuracy is the fraction of right predictions, or R² in a regression, and
    None where it is not defined.
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
    """All that is needed to resume a training to the bit.

    The arrays are float64 with one number per parameter, in the order of `parameters`.

    Attributes:
        step: finished updates.
        parameters: layer by layer and neuron by neuron, the weights of each before its bias.
        velocity: momentum buffers; None without momentum.
        gradient: the sum of all gradients so far with `zero_grad: false`; otherwise None.
        patience: the memory of early stopping, which is the best validation loss and how many
            logged steps in a row were no better; None without early stopping.
    """

    step: int
    parameters: Array
    velocity: Array | None = None
    gradient: Array | None = None
    patience: tuple[float, int] | None = None

    def arrays(self) -> dict[str, Array]:
        """Everything but the step as named arrays to be stored, without the parts that are None."""
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

    Accuracy is the fraction of right predictions, or R² in a regression. Each number by itself is
    None where it is not finite or not defined, or where there are no validation rows.
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
        snapshot: returns a copy of the state of exactly this step; call it before asking for the
            next Progress.
        finished: whether this is the last Progress.
        evaluate: returns the scores of any parameters of this network, without disturbing the
            training. It takes one number per parameter in the order of the state, and raises
            ValueError where there are more or fewer.
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

    def state(self) -> State:
        """A copy of the state after `step` finished updates, even in the middle of the next."""
