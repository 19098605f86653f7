"""Data-set specifications become arrays.

scikit-learn takes 1.7 s to import, so it is imported only when one of its generators runs.
"""

from __future__ import annotations

import math

import numpy as np

from engine.progress import Array
from engine.spec import Blobs, Circles, Dataset, Inline, Moons, Xor


class InvalidData(ValueError):
    """The data set cannot be made, or does not fit the loss."""


def load(dataset: Dataset) -> tuple[Array, Array]:
    """Inputs (rows × inputs) and one target a row, as float64."""
    if isinstance(dataset, Inline):
        x, y = np.array(dataset.x, dtype=np.float64), np.array(dataset.y, dtype=np.float64)
    elif isinstance(dataset, Xor):
        x, y = make_xor(dataset)
    else:
        x, y = generate(dataset)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidData(f"the data set {dataset.kind} holds numbers that are not finite")
    return np.ascontiguousarray(x, dtype=np.float64), y.astype(np.float64)


def generate(dataset: Moons | Circles | Blobs) -> tuple[Array, Array]:
    """What scikit-learn generates for this specification."""
    from sklearn import datasets

    made: tuple[Array, Array]
    match dataset:
        case Moons():
            made = datasets.make_moons(
                dataset.n_samples, noise=dataset.noise, random_state=dataset.seed
            )
        case Circles():
            made = datasets.make_circles(
                dataset.n_samples,
                noise=dataset.noise,
                factor=dataset.factor,
                random_state=dataset.seed,
            )
        case Blobs():
            made = datasets.make_blobs(
                dataset.n_samples,
                n_features=dataset.n_features,
                centers=dataset.centers,
                cluster_std=dataset.cluster_std,
                random_state=dataset.seed,
            )
    return made


def make_xor(dataset: Xor) -> tuple[Array, Array]:
    """Four corners of the square, or random points in it; class 1 where the signs differ."""
    rng = np.random.RandomState(dataset.seed)
    if dataset.n_samples == 4:
        x = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    else:
        x = rng.uniform(-1.0, 1.0, size=(dataset.n_samples, 2))
    y = (x[:, 0] * x[:, 1] < 0.0).astype(np.float64)
    if dataset.noise > 0.0:
        x = x + rng.normal(scale=dataset.noise, size=x.shape)
    return x, y


def encode(loss: str, y: Array) -> Array:
    """Targets (rows × 1) as the loss reads them: -1 or 1 for max_margin, else as they are."""
    if loss == "max_margin":
        return np.where(y > 0.0, 1.0, -1.0)[:, None]
    return y[:, None]


def r_squared(predictions: Array, targets: Array) -> float | None:
    """1 - residual / total sum of squares; None where all targets are the same."""
    total = float(np.sum((targets - targets.mean()) ** 2))
    if total == 0.0:
        return None
    score = 1.0 - float(np.sum((targets - predictions) ** 2)) / total
    return score if math.isfinite(score) else None
