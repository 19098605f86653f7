"""Standardisation: the mean that is subtracted from numbers, and the scale they are divided by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.data.loading import InvalidData
from engine.spec.datasets import DatasetSpec


@dataclass(frozen=True, slots=True)
class Scaling:
    """The numbers that are first subtracted from inputs and targets, and that then divide them."""

    input_mean: Array
    input_scale: Array
    target_mean: float
    target_scale: float

    @classmethod
    def of(cls, dataset: DatasetSpec, x: Array, y: Array) -> Scaling:
        """The scaling by the statistics of the training rows; 0 and 1 if not standardised."""
        inputs = x.shape[1]
        mean, scale = moments(x) if dataset.standardise else (np.zeros(inputs), np.ones(inputs))
        targets = moments(y[:, None]) if dataset.standardise_targets else ([0.0], [1.0])
        return cls(mean, scale, float(targets[0][0]), float(targets[1][0]))

    def inputs(self, x: Array) -> Array:
        return (x - self.input_mean) / self.input_scale

    def targets(self, y: Array) -> Array:
        return (y - self.target_mean) / self.target_scale


def moments(columns: Array) -> tuple[Array, Array]:
    """The mean and the standard deviation of each column; a column that never changes has 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        raise InvalidData("the data set holds numbers that are too large to standardise")
    # Where all numbers are the same, rounding may leave a deviation that is not quite 0.
    constant = columns.max(axis=0) == columns.min(axis=0)
    return mean, np.where(constant | (deviation == 0.0), 1.0, deviation)
