"""A specification made concrete: arrays instead of recipes, read by every executor."""

from __future__ import annotations

from dataclasses import dataclass

from engine import data, losses, optim
from engine.progress import Array
from engine.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Problem:
    """What is trained on what.

    Attributes:
        x: training rows × inputs.
        targets: training rows × targets, encoded as the loss reads them.
        loss: the loss of one example on Values.
        learning_rate: the rate of step k.
    """

    spec: JobSpec
    x: Array
    targets: Array
    loss: losses.ExampleLoss
    learning_rate: optim.Schedule

    def score(self, outputs: Array, targets: Array) -> float | None:
        """Accuracy of `outputs` (rows × units), or R² in a regression."""
        if self.spec.classifies():
            return float(((outputs > 0.0) == (targets > 0.0)).mean())
        return data.r_squared(outputs, targets)


def prepare(spec: JobSpec) -> Problem:
    """Makes the data of a specification. Raises InvalidData when that fails."""
    x, y = data.load(spec.dataset)
    return Problem(
        spec=spec,
        x=x,
        targets=data.encode(spec.loss.kind, y),
        loss=losses.LOSSES[spec.loss.kind],
        learning_rate=optim.schedule(spec.optimizer.learning_rate, spec.training.steps),
    )
