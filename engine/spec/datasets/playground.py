"""The data sets of TensorFlow Playground (`src/dataset.ts` of tensorflow/playground).

Same formulas, ranges and noise; the numbers come from NumPy's legacy generator, whose stream
never changes. Classes are 0 and 1. NumPy is imported where numbers are made, because checking a
specification needs none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from engine.spec.base import MAX_ROWS
from engine.spec.datasets.generated import Generated

if TYPE_CHECKING:
    from engine.arrays import Array

PlaygroundNoise = Annotated[float, Field(ge=0, le=0.5)]
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


class Xor(Generated):
    """Points in the plane; class 1 where the signs of the two inputs differ.

    Four samples are the truth table: the corners of the square [-1, 1]², which `noise` moves.
    More are drawn as TensorFlow Playground draws them: uniform in [-5, 5]², kept 0.3 away
    from the axes, each labelled by a point that `noise` has moved.
    """

    kind: Literal["xor"]
    n_samples: Annotated[int, Field(ge=4, le=MAX_ROWS)] = 4
    noise: PlaygroundNoise = 0.0

    def make(self) -> tuple[Array, Array]:
        import numpy as np

        corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        if self.n_samples == 4 and self.noise == 0.0:
            # The smallest job there is: seeding a generator for nothing would be a tenth of it.
            return corners, differ(corners)
        rng = np.random.RandomState(self.seed)
        if self.n_samples == 4:
            return corners + self.noise * rng.uniform(-1.0, 1.0, (4, 2)), differ(corners)
        x = rng.uniform(-5.0, 5.0, (self.n_samples, 2))
        x += np.where(x > 0.0, 0.3, -0.3)
        return x, differ(x + self.noise * rng.uniform(-5.0, 5.0, x.shape))


class Spiral(Generated):
    """Two interleaved spirals, as in TensorFlow Playground."""

    kind: Literal["spiral"]
    noise: PlaygroundNoise = 0.0

    def make(self) -> tuple[Array, Array]:
        import numpy as np

        rng = np.random.RandomState(self.seed)
        arms = []
        for turn, rows in zip((0.0, math.pi), halves(self.n_samples), strict=True):
            along = np.arange(rows) / (self.n_samples / 2)
            angle = 1.75 * along * 2.0 * math.pi + turn
            arm = 5.0 * along[:, None] * np.column_stack([np.sin(angle), np.cos(angle)])
            arms.append(arm + self.noise * rng.uniform(-1.0, 1.0, arm.shape))
        return np.concatenate(arms), first_half(self.n_samples)


class Gauss(Generated):
    """Two Gaussian clouds around (2, 2) and (-2, -2), as in TensorFlow Playground.

    The variance grows with the noise, from 0.5 to 4.
    """

    kind: Literal["gauss"]
    noise: PlaygroundNoise = 0.0

    def make(self) -> tuple[Array, Array]:
        import numpy as np

        rng = np.random.RandomState(self.seed)
        deviation = math.sqrt(0.5 + self.noise / 0.5 * 3.5)
        clouds = [
            rng.normal(centre, deviation, (rows, 2))
            for centre, rows in zip((2.0, -2.0), halves(self.n_samples), strict=True)
        ]
        return np.concatenate(clouds), first_half(self.n_samples)


class Plane(Generated):
    """Regression on the plane (x₁ + x₂)/10 over [-6, 6]², as in TensorFlow Playground."""

    kind: Literal["plane"]
    noise: PlaygroundNoise = 0.0
    CLASSES: ClassVar[int | None] = None

    def make(self) -> tuple[Array, Array]:
        x, moved = scattered(self.seed, self.n_samples, self.noise)
        return x, moved.sum(axis=1) / 10.0


class MultiGaussian(Generated):
    """Regression on six bumps of height ±1 over [-6, 6]², as in TensorFlow Playground."""

    kind: Literal["multi_gaussian"]
    noise: PlaygroundNoise = 0.0
    CLASSES: ClassVar[int | None] = None

    def make(self) -> tuple[Array, Array]:
        import numpy as np

        x, moved = scattered(self.seed, self.n_samples, self.noise)
        y = np.zeros(len(x))
        for centre_x, centre_y, sign in BUMPS:
            distance = np.hypot(moved[:, 0] - centre_x, moved[:, 1] - centre_y)
            height = sign * np.clip(1.0 - distance / 2.0, 0.0, 1.0)
            y = np.where(np.abs(height) > np.abs(y), height, y)
        return x, y


def differ(points: Array) -> Array:
    """1 where the two signs differ, else 0."""
    return (points[:, 0] * points[:, 1] < 0.0).astype(float)


def scattered(seed: int, rows: int, noise: float) -> tuple[Array, Array]:
    """Points of the square, and where noise has moved them before they are labelled."""
    import numpy as np

    rng = np.random.RandomState(seed)
    x = rng.uniform(-RADIUS, RADIUS, (rows, 2))
    return x, x + noise * rng.uniform(-RADIUS, RADIUS, x.shape)


def halves(rows: int) -> tuple[int, int]:
    return rows - rows // 2, rows // 2


def first_half(rows: int) -> Array:
    """The first half is class 1, the second class 0."""
    import numpy as np

    first, second = halves(rows)
    return np.concatenate([np.ones(first), np.zeros(second)])
