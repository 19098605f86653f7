"""The numbers that a training produces: logged rows, scores, and the state to resume from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
class TrainingState:
    """Everything needed to resume with bit-identical results.

    All arrays are float64, with one number per parameter, in order.

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

    Accuracy is the fraction of right predictions, or R² in a regression. None stands for what is
    not finite or not defined, and for the validation rows where there are none.
    """

    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
