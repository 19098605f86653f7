"""A specification made concrete: arrays instead of recipes, read by every executor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.data import loading
from engine.data.batches import Batches, split
from engine.networks import optimizers
from engine.networks.losses import ExampleLoss, example_loss
from engine.spec import JobSpec, validation_rows


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs (rows × inputs) and targets (rows × targets) as the loss reads them."""

    x: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is trained on what. Nothing in it changes, nothing depends on the executor.

    Attributes:
        training: the rows that are trained on, standardised when asked for.
        validation: the rows that are kept apart; None without a validation set.
        scaling: what standardisation did to inputs and targets.
        loss: the loss of one example on Values.
        batches: which training rows each step sees.
        learning_rate: the rate of step k; `optim.rates` gives those of many steps.
    """

    spec: JobSpec
    training: Rows
    validation: Rows | None
    scaling: loading.Scaling
    loss: ExampleLoss
    batches: Batches
    learning_rate: optimizers.Schedule

    def score(self, outputs: Array, targets: Array) -> float | None:
        """Accuracy of `outputs` (rows × units), or R² in a regression."""
        if not self.spec.classifies():
            return r_squared(outputs, targets)
        if self.spec.loss.kind == "cross_entropy":
            right = outputs.argmax(axis=1) == targets.argmax(axis=1)
        else:
            right = (outputs > 0.0) == (targets > 0.0)
        return float(right.mean())


def prepare(spec: JobSpec) -> Problem:
    """Makes the data of a specification. Raises InvalidData when that fails."""
    x, y = loading.load(spec.dataset)
    kept = validation_rows(len(x), spec.training.validation_fraction)
    labels = y.tolist() if spec.classifies() else None
    chosen, apart = split(len(x), kept, spec.training.seed, labels)
    scaling = loading.Scaling.of(spec.dataset, x[chosen], y[chosen])
    rows = Rows(scaling.inputs(x), loading.encode(spec, scaling.targets(y)))
    return Problem(
        spec=spec,
        training=take(rows, chosen),
        validation=take(rows, apart) if kept else None,
        scaling=scaling,
        loss=example_loss(spec.loss),
        batches=Batches(len(chosen), spec.training.batch_size, spec.training.seed),
        learning_rate=optimizers.schedule(spec.optimizer.learning_rate, spec.training.steps),
    )


def take(rows: Rows, indices: list[int]) -> Rows:
    return Rows(np.ascontiguousarray(rows.x[indices]), rows.targets[indices])


def r_squared(predictions: Array, targets: Array) -> float | None:
    """1 - residual / total sum of squares; None where all targets are the same."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is no score
        total = float(np.sum((targets - targets.mean()) ** 2))
        residual = float(np.sum((targets - predictions) ** 2))
    # The mean of equal numbers may be rounded to another, squares of small ones to 0.
    if targets.max() == targets.min() or total == 0.0:
        return None
    score = 1.0 - residual / total
    return score if math.isfinite(score) else None
