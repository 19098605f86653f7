"""The data sets of TensorFlow Playground (`src/dataset.ts` of tensorflow/playground).

Same formulas, ranges and noise; the numbers come from NumPy's legacy generator, whose stream
never changes. Classes are 0 and 1.
"""

from __future__ import annotations

import math

import numpy as np

from engine.arrays import Array
from engine.spec.datasets import Gauss, MultiGaussian, Plane, Spiral, Xor

RADIUS = 6.0
BUMPS = (
    (-4.0, 2.5, 1.0),
    (0.0, 2.5, -1.0),
    (4.0, 2.5, 1.0),
    (-4.0, -2.5, -1.0),
    (0.0, -2.5, 1.0),
    (4.0, -2.5, -1.0),
)
"""Centre and sign of each bump of `multi_gaussian`."""


def xor(spec: Xor) -> tuple[Array, Array]:
    corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    if spec.n_samples == 4 and spec.noise == 0.0:
        # The smallest job there is: seeding a generator for nothing would be a tenth of it.
        return corners, differ(corners)
    rng = np.random.RandomState(spec.seed)
    if spec.n_samples == 4:
        return corners + spec.noise * rng.uniform(-1.0, 1.0, (4, 2)), differ(corners)
    x = rng.uniform(-5.0, 5.0, (spec.n_samples, 2))
    x += np.where(x > 0.0, 0.3, -0.3)
    return x, differ(x + spec.noise * rng.uniform(-5.0, 5.0, x.shape))


def differ(points: Array) -> Array:
    """1 where the two signs differ, else 0."""
    return (points[:, 0] * points[:, 1] < 0.0).astype(np.float64)


def spiral(spec: Spiral) -> tuple[Array, Array]:
    rng = np.random.RandomState(spec.seed)
    arms = []
    for turn, rows in zip((0.0, math.pi), halves(spec.n_samples), strict=True):
        along = np.arange(rows) / (spec.n_samples / 2)
        angle = 1.75 * along * 2.0 * math.pi + turn
        arm = 5.0 * along[:, None] * np.column_stack([np.sin(angle), np.cos(angle)])
        arms.append(arm + spec.noise * rng.uniform(-1.0, 1.0, arm.shape))
    return np.concatenate(arms), classes(spec.n_samples)


def gauss(spec: Gauss) -> tuple[Array, Array]:
    rng = np.random.RandomState(spec.seed)
    deviation = math.sqrt(0.5 + spec.noise / 0.5 * 3.5)
    clouds = [
        rng.normal(centre, deviation, (rows, 2))
        for centre, rows in zip((2.0, -2.0), halves(spec.n_samples), strict=True)
    ]
    return np.concatenate(clouds), classes(spec.n_samples)


def plane(spec: Plane) -> tuple[Array, Array]:
    x, moved = scattered(spec)
    return x, moved.sum(axis=1) / 10.0


def multi_gaussian(spec: MultiGaussian) -> tuple[Array, Array]:
    x, moved = scattered(spec)
    y = np.zeros(len(x))
    for centre_x, centre_y, sign in BUMPS:
        distance = np.hypot(moved[:, 0] - centre_x, moved[:, 1] - centre_y)
        height = sign * np.clip(1.0 - distance / 2.0, 0.0, 1.0)
        y = np.where(np.abs(height) > np.abs(y), height, y)
    return x, y


def scattered(spec: Plane | MultiGaussian) -> tuple[Array, Array]:
    """Points of the square, and where noise has moved them before they are labelled."""
    rng = np.random.RandomState(spec.seed)
    x = rng.uniform(-RADIUS, RADIUS, (spec.n_samples, 2))
    return x, x + spec.noise * rng.uniform(-RADIUS, RADIUS, x.shape)


def halves(rows: int) -> tuple[int, int]:
    return rows - rows // 2, rows // 2


def classes(rows: int) -> Array:
    """The first half is class 1, the second class 0."""
    first, second = halves(rows)
    return np.concatenate([np.ones(first), np.zeros(second)])
