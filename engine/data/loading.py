"""Data-set specifications become arrays.

scikit-learn takes 1.7 s to import, so it is imported only when one of its data sets is asked
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.arrays import Array
from engine.data import playground
from engine.spec.datasets import (
    Bundled,
    Csv,
    Dataset,
    DatasetSpec,
    Gauss,
    Generated,
    Inline,
    MultiGaussian,
    Plane,
    Spiral,
    Xor,
)

if TYPE_CHECKING:
    from engine.spec import JobSpec


class InvalidData(ValueError):
    """The data set cannot be made, or does not fit the loss."""


def load(dataset: Dataset) -> tuple[Array, Array]:
    """Inputs (rows × inputs) and one target a row, as float64. Classes count from 0."""
    match dataset:
        case Inline():
            x, y = np.array(dataset.x), np.array(dataset.y)
        case Csv():
            x, y = np.array(dataset.table.x), np.array(dataset.table.y)
        case Xor():
            x, y = playground.xor(dataset)
        case Spiral():
            x, y = playground.spiral(dataset)
        case Gauss():
            x, y = playground.gauss(dataset)
        case Plane():
            x, y = playground.plane(dataset)
        case MultiGaussian():
            x, y = playground.multi_gaussian(dataset)
        case Bundled():
            x, y = bundled(dataset)
        case _:
            x, y = generated(dataset)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidData(f"the data set {dataset.kind} holds numbers that are not finite")
    return np.ascontiguousarray(x, dtype=np.float64), y.astype(np.float64)


def generated(dataset: Generated) -> tuple[Array, Array]:
    """What scikit-learn's make_… of this kind generates from the same parameters."""
    from sklearn import datasets

    parameters = dataset.model_dump(exclude={"kind", "seed", "standardise", "standardise_targets"})
    try:
        kind: str = dataset.kind  # type: ignore[attr-defined]
        make = getattr(datasets, f"make_{kind}")
        x, y = make(**parameters, random_state=dataset.seed)
    except ValueError as error:
        raise InvalidData(f"scikit-learn cannot make this data set: {error}") from None
    return x, np.maximum(y, 0.0) if kind == "hastie_10_2" else y


def bundled(dataset: Bundled) -> tuple[Array, Array]:
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{dataset.kind}")(return_X_y=True)
    return x, y


@dataclass(frozen=True, slots=True)
class Scaling:
    """What standardisation subtracts from inputs and targets, and divides them by then."""

    input_mean: Array
    input_scale: Array
    target_mean: float
    target_scale: float

    @classmethod
    def of(cls, dataset: DatasetSpec, x: Array, y: Array) -> Scaling:
        """The statistics of the training rows; 0 and 1 for what is not standardised."""
        inputs = x.shape[1]
        mean, scale = moments(x) if dataset.standardise else (np.zeros(inputs), np.ones(inputs))
        targets = moments(y[:, None]) if dataset.standardise_targets else ([0.0], [1.0])
        return cls(mean, scale, float(targets[0][0]), float(targets[1][0]))

    def inputs(self, x: Array) -> Array:
        return (x - self.input_mean) / self.input_scale

    def targets(self, y: Array) -> Array:
        return (y - self.target_mean) / self.target_scale


def moments(columns: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column; 1 for one that never changes."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        raise InvalidData("the data set holds numbers that are too large to standardise")
    # Rounding may leave a deviation that is not quite 0.
    constant = columns.max(axis=0) == columns.min(axis=0)
    return mean, np.where(constant | (deviation == 0.0), 1.0, deviation)


def encode(spec: JobSpec, y: Array) -> Array:
    """Targets (rows × 1, or rows × classes for cross_entropy) as the loss reads them."""
    if spec.loss.kind == "cross_entropy":
        return np.eye(spec.model.layers[-1].units)[y.astype(np.intp)]
    if spec.loss.kind == "max_margin":
        return np.where(y > 0.0, 1.0, -1.0)[:, None]
    if spec.loss.kind == "binary_cross_entropy":
        return np.where(y > 0.0, 1.0, 0.0)[:, None]
    return y[:, None]
