"""The scores of any parameters, computed as a step computes them.

A step logs the loss and the score of the parameters before its update. Evaluating parameters
computes the same numbers over all training rows and all validation rows, so they have the bits
that the history of a training on the full batch has for these parameters.
"""

from __future__ import annotations

import math
from dataclasses import replace

from engine.arrays import Array
from engine.data.batches import Batches
from engine.training.prepared import PreparedTraining


def full_batch(prepared: PreparedTraining) -> PreparedTraining:
    """The same training on all rows in every step, with nothing carried from step to step."""
    spec = prepared.spec
    optimizer = spec.optimizer.model_copy(update={"momentum": 0.0, "nesterov": False})
    training = spec.training.model_copy(
        update={"batch_size": None, "early_stopping": None, "zero_grad": True}
    )
    return replace(
        prepared,
        spec=spec.model_copy(update={"optimizer": optimizer, "training": training}),
        batches=Batches(len(prepared.training), None, spec.training.seed),
    )


def check_length(prepared: PreparedTraining, parameters: Array) -> None:
    """Raises ValueError unless there is exactly one number per parameter."""
    count = prepared.spec.parameters()
    if parameters.shape != (count,):
        raise ValueError(
            f"{parameters.size} numbers were given for the {count} parameters of the network"
        )


def finite(number: float | None) -> float | None:
    """The number, or None where it is not finite."""
    return number if number is not None and math.isfinite(number) else None
