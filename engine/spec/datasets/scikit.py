"""The generators of scikit-learn, one class each.

scikit-learn takes 1.7 s to import, so it is imported when one of its data sets is made.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.spec.base import MAX_INPUTS, at
from engine.spec.datasets.base import Noise
from engine.spec.datasets.generated import Generated

if TYPE_CHECKING:
    from engine.arrays import Array

OURS = {"kind", "seed", "features", "standardise", "standardise_targets"}
"""The fields that are not the generator's."""

FAR = 3.0
"""The largest of some normally distributed numbers, in standard deviations, roughly."""


class ScikitGenerated(Generated):
    """The data set that scikit-learn's make_… of this kind generates from the same parameters."""

    def largest_cell(self) -> float:
        return max(self.LARGEST_INPUT, FAR * self.input_deviation())

    def input_deviation(self) -> float:
        """The standard deviation of what is random about an input, as the fields set it."""
        return 0.0

    def make(self) -> tuple[Array, Array]:
        from sklearn import datasets

        generator: Any = getattr(datasets, f"make_{self.kind}")
        try:
            x, y = generator(**self.model_dump(exclude=OURS), random_state=self.seed)
        except ValueError as error:
            raise ValueError(f"scikit-learn cannot make this data set: {error}") from None
        return x, y


class Moons(ScikitGenerated):
    """Two interleaving half circles in the plane, one class each."""

    kind: Literal["moons"]
    noise: Noise = 0.1

    def input_deviation(self) -> float:
        return self.noise


class Circles(ScikitGenerated):
    """A circle inside a circle; `factor` is the ratio of their radii."""

    kind: Literal["circles"]
    noise: Noise = 0.1
    factor: float = Field(default=0.5, ge=0, lt=1)

    def input_deviation(self) -> float:
        return self.noise


class Blobs(ScikitGenerated):
    """Isotropic Gaussian clouds, one class each."""

    kind: Literal["blobs"]
    centers: int = Field(default=2, ge=2, le=100)
    n_features: int = Field(default=2, ge=1, le=MAX_INPUTS)
    cluster_std: float = Field(default=1.0, ge=0, le=1e6)

    def input_deviation(self) -> float:
        return self.cluster_std

    def classes(self) -> int:
        return self.centers

    @model_validator(mode="after")
    def every_class_has_a_row(self) -> Self:
        if self.n_samples < self.centers:
            raise at(("centers",), f"{self.centers} centers need at least as many samples")
        return self


class Classification(ScikitGenerated):
    """Clusters at the corners of a hypercube, with redundant and noisy inputs among them."""

    kind: Literal["classification"]
    n_features: int = Field(default=20, ge=1, le=MAX_INPUTS)
    n_informative: int = Field(default=2, ge=1, le=MAX_INPUTS)
    n_redundant: int = Field(default=2, ge=0, le=MAX_INPUTS)
    n_classes: int = Field(default=2, ge=2, le=100)
    n_clusters_per_class: int = Field(default=2, ge=1, le=100)
    flip_y: float = Field(default=0.01, ge=0, le=1)
    class_sep: float = Field(default=1.0, ge=0, le=1e6)

    def input_deviation(self) -> float:
        # Clusters lie at ±class_sep; redundant inputs reach about half as far again.
        return self.class_sep * 1.5 / FAR

    def classes(self) -> int:
        return self.n_classes

    @model_validator(mode="after")
    def inputs_suffice(self) -> Self:
        if self.n_informative + self.n_redundant > self.n_features:
            raise at(
                ("n_features",),
                f"{self.n_informative} informative and {self.n_redundant} redundant inputs "
                f"need at least {self.n_informative + self.n_redundant} features",
            )
        clusters = self.n_classes * self.n_clusters_per_class
        if clusters > 2 ** min(self.n_informative, 32):
            raise at(
                ("n_informative",),
                f"{clusters} clusters need more than {self.n_informative} informative inputs: "
                "a cluster sits at a corner of their hypercube",
            )
        if self.n_samples < clusters:
            raise at(("n_samples",), f"{clusters} clusters need at least as many samples")
        return self


class GaussianQuantiles(ScikitGenerated):
    """One Gaussian cloud, cut into shells of equal size, one class each."""

    kind: Literal["gaussian_quantiles"]
    n_features: int = Field(default=2, ge=1, le=MAX_INPUTS)
    n_classes: int = Field(default=3, ge=2, le=100)
    cov: float = Field(default=1.0, gt=0, le=1e6)

    def input_deviation(self) -> float:
        return math.sqrt(self.cov)

    def classes(self) -> int:
        return self.n_classes

    @model_validator(mode="after")
    def every_class_has_a_row(self) -> Self:
        if self.n_samples < self.n_classes:
            raise at(("n_classes",), f"{self.n_classes} classes need at least as many samples")
        return self


class Hastie(ScikitGenerated):
    """Ten Gaussian inputs; class 1 where the sum of squares exceeds 9.34 (Hastie et al., 10.2)."""

    kind: Literal["hastie_10_2"]
    INPUTS: ClassVar[int] = 10

    def make(self) -> tuple[Array, Array]:
        x, y = super().make()
        return x, (y > 0.0).astype(float)


class LinearRegression(ScikitGenerated):
    """A random linear function of the informative inputs, plus Gaussian noise.

    The targets are large, in the hundreds: `standardise_targets` makes them easier to learn.
    """

    kind: Literal["regression"]
    n_features: int = Field(default=10, ge=1, le=MAX_INPUTS)
    n_informative: int = Field(default=10, ge=1, le=MAX_INPUTS)
    bias: float = Field(default=0.0, ge=-1e6, le=1e6)
    noise: Noise = 0.0
    CLASSES: ClassVar[int | None] = None


class Friedman1(ScikitGenerated):
    """10·sin(π·x₀x₁) + 20·(x₂ - ½)² + 10·x₃ + 5·x₄ (Friedman 1991)."""

    kind: Literal["friedman1"]
    n_features: int = Field(default=10, ge=5, le=MAX_INPUTS)
    noise: Noise = 0.0
    CLASSES: ClassVar[int | None] = None


class Friedman2(ScikitGenerated):
    """√(x₀² + (x₁x₂ - 1/(x₁x₃))²), impedance of a circuit (Friedman 1991)."""

    kind: Literal["friedman2"]
    noise: Noise = 0.0
    INPUTS: ClassVar[int] = 4
    LARGEST_INPUT: ClassVar[float] = 1_760.0
    CLASSES: ClassVar[int | None] = None


class Friedman3(ScikitGenerated):
    """arctan((x₁x₂ - 1/(x₁x₃))/x₀), phase of a circuit (Friedman 1991)."""

    kind: Literal["friedman3"]
    noise: Noise = 0.0
    INPUTS: ClassVar[int] = 4
    LARGEST_INPUT: ClassVar[float] = 1_760.0
    CLASSES: ClassVar[int | None] = None


class SparseUncorrelated(ScikitGenerated):
    """x₀ + 2x₁ - 2x₂ - 1.5x₃ plus noise; the other inputs say nothing."""

    kind: Literal["sparse_uncorrelated"]
    n_features: int = Field(default=10, ge=4, le=MAX_INPUTS)
    CLASSES: ClassVar[int | None] = None


class SwissRoll(ScikitGenerated):
    """A rolled-up sheet in space; the target is the position along the roll."""

    kind: Literal["swiss_roll"]
    noise: Noise = 0.0
    hole: bool = False
    INPUTS: ClassVar[int] = 3
    CLASSES: ClassVar[int | None] = None

    def input_deviation(self) -> float:
        return self.noise


class SCurve(ScikitGenerated):
    """An S-shaped sheet in space; the target is the position along the S."""

    kind: Literal["s_curve"]
    noise: Noise = 0.0
    INPUTS: ClassVar[int] = 3
    CLASSES: ClassVar[int | None] = None

    def input_deviation(self) -> float:
        return self.noise
