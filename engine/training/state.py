"""The numbers that a training produces: logged rows, scores, and the state to resume from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
class TrainingState:
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
    def of(cls, step: int, arrays: Mapping[str, Array]) -> TrainingState:
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
