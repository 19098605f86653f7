"""The arrays that data-set specifications describe."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.spec.datasets import DatasetSpec


class InvalidData(ValueError):
    """The data set cannot be made, or does not fit the rest of the specification."""


def load(dataset: DatasetSpec) -> tuple[Array, Array]:
    """The cells (rows × columns) and one target per row, as float64. Classes count from 0.

    A gap is NaN, where the data set says that gaps are to be filled.

    Raises:
        InvalidData: the data set cannot be made, or holds numbers that are not finite.
    """
    try:
        x, y = dataset.make()
    except ValueError as error:
        raise InvalidData(str(error)) from None
    known = np.isfinite(x) | np.isnan(x) if dataset.fills_gaps() else np.isfinite(x)
    if not (known.all() and np.isfinite(y).all()):
        raise InvalidData(f"the data set {dataset.kind} holds numbers that are not finite")
    return np.ascontiguousarray(x, dtype=np.float64), y.astype(np.float64)
