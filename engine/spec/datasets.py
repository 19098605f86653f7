"""The data sets that a job may ask for. `engine.data.loading` makes them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, FailFast, Field, PrivateAttr, model_validator

from engine.spec.base import MAX_CELLS, MAX_INPUTS, MAX_ROWS, Model, Seed, at
from engine.spec.csv_table import NoSuchColumn, Table, TableError, parse_table

Rows = Annotated[int, Field(ge=2, le=MAX_ROWS)]
Noise = Annotated[float, Field(ge=0, le=1e6)]
# One mistake a row is told: a row of text would otherwise become an error a cell, and a large
# data set of them a minute of work.
Row = Annotated[list[float], FailFast()]
PlaygroundNoise = Annotated[float, Field(ge=0, le=0.5)]


class DatasetSpec(Model):
    """What all data sets have.

    `standardise` shifts and scales every input to mean 0 and standard deviation 1,
    `standardise_targets` does the same to the targets of a regression. Both use the training
    rows' statistics. A column that never changes is only shifted.

    Attributes:
        INPUTS: inputs a row, where the kind fixes them.
        CLASSES: how many, None for a regression.
    """

    INPUTS: ClassVar[int] = 2
    CLASSES: ClassVar[int | None] = 2

    kind: str
    standardise: bool = False
    standardise_targets: bool = False

    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and inputs a row."""

    def classes(self) -> int | None:
        """How many classes the targets name; None when they are numbers."""
        return self.CLASSES

    def distinct_labels(self) -> int | None:
        """How many different labels the targets hold, where that is known before they are made."""
        return self.classes()


class Generated(DatasetSpec):
    """Made by a generator; the fields besides the seed are the generator's parameters."""

    n_samples: Rows = 100
    seed: Seed = 0

    def shape(self) -> tuple[int, int]:
        return self.n_samples, getattr(self, "n_features", self.INPUTS)

    @model_validator(mode="after")
    def not_too_large(self) -> Self:
        rows, inputs = self.shape()
        if rows * inputs > MAX_CELLS:
            raise at(
                ("n_samples",),
                f"{rows} rows of {inputs} inputs are more than {MAX_CELLS} numbers",
            )
        return self


class Moons(Generated):
    """Two interleaving half circles in the plane, one class each."""

    kind: Literal["moons"]
    noise: Noise = 0.1


class Circles(Generated):
    """A circle inside a circle; `factor` is the ratio of their radii."""

    kind: Literal["circles"]
    noise: Noise = 0.1
    factor: float = Field(default=0.5, ge=0, lt=1)


class Blobs(Generated):
    """Isotropic Gaussian clouds, one class each."""

    kind: Literal["blobs"]
    centers: int = Field(default=2, ge=2, le=100)
    n_features: int = Field(default=2, ge=1, le=MAX_INPUTS)
    cluster_std: float = Field(default=1.0, ge=0, le=1e6)

    def classes(self) -> int:
        return self.centers

    @model_validator(mode="after")
    def every_class_has_a_row(self) -> Self:
        if self.n_samples < self.centers:
            raise at(("centers",), f"{self.centers} centers need at least as many samples")
        return self


class Classification(Generated):
    """Clusters at the corners of a hypercube, with redundant and noisy inputs among them."""

    kind: Literal["classification"]
    n_features: int = Field(default=20, ge=1, le=MAX_INPUTS)
    n_informative: int = Field(default=2, ge=1, le=MAX_INPUTS)
    n_redundant: int = Field(default=2, ge=0, le=MAX_INPUTS)
    n_classes: int = Field(default=2, ge=2, le=100)
    n_clusters_per_class: int = Field(default=2, ge=1, le=100)
    flip_y: float = Field(default=0.01, ge=0, le=1)
    class_sep: float = Field(default=1.0, ge=0, le=1e6)

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


class GaussianQuantiles(Generated):
    """One Gaussian cloud, cut into shells of equal size, one class each."""

    kind: Literal["gaussian_quantiles"]
    n_features: int = Field(default=2, ge=1, le=MAX_INPUTS)
    n_classes: int = Field(default=3, ge=2, le=100)
    cov: float = Field(default=1.0, gt=0, le=1e6)

    def classes(self) -> int:
        return self.n_classes

    @model_validator(mode="after")
    def every_class_has_a_row(self) -> Self:
        if self.n_samples < self.n_classes:
            raise at(("n_classes",), f"{self.n_classes} classes need at least as many samples")
        return self


class Hastie(Generated):
    """Ten Gaussian inputs; class 1 where the sum of squares exceeds 9.34 (Hastie et al., 10.2)."""

    kind: Literal["hastie_10_2"]
    INPUTS: ClassVar[int] = 10


class Xor(Generated):
    """Points in the plane; class 1 where the signs of the two inputs differ.

    Four samples are the truth table: the corners of the square [-1, 1]², which `noise` moves.
    More are drawn as TensorFlow Playground draws them: uniform in [-5, 5]², kept 0.3 away
    from the axes, each labelled by a point that `noise` has moved.
    """

    kind: Literal["xor"]
    n_samples: Annotated[int, Field(ge=4, le=MAX_ROWS)] = 4
    noise: PlaygroundNoise = 0.0


class Spiral(Generated):
    """Two interleaved spirals, as in TensorFlow Playground."""

    kind: Literal["spiral"]
    noise: PlaygroundNoise = 0.0


class Gauss(Generated):
    """Two Gaussian clouds around (2, 2) and (-2, -2), as in TensorFlow Playground.

    The variance grows with the noise, from 0.5 to 4.
    """

    kind: Literal["gauss"]
    noise: PlaygroundNoise = 0.0


class Plane(Generated):
    """Regression on the plane (x₁ + x₂)/10 over [-6, 6]², as in TensorFlow Playground."""

    kind: Literal["plane"]
    noise: PlaygroundNoise = 0.0
    CLASSES: ClassVar[int | None] = None


class MultiGaussian(Generated):
    """Regression on six bumps of height ±1 over [-6, 6]², as in TensorFlow Playground."""

    kind: Literal["multi_gaussian"]
    noise: PlaygroundNoise = 0.0
    CLASSES: ClassVar[int | None] = None


class LinearRegression(Generated):
    """A random linear function of the informative inputs, plus Gaussian noise.

    The targets are large, in the hundreds: `standardise_targets` makes them easier to learn.
    """

    kind: Literal["regression"]
    n_features: int = Field(default=10, ge=1, le=MAX_INPUTS)
    n_informative: int = Field(default=10, ge=1, le=MAX_INPUTS)
    bias: float = Field(default=0.0, ge=-1e6, le=1e6)
    noise: Noise = 0.0
    CLASSES: ClassVar[int | None] = None


class Friedman1(Generated):
    """10·sin(π·x₀x₁) + 20·(x₂ - ½)² + 10·x₃ + 5·x₄ (Friedman 1991)."""

    kind: Literal["friedman1"]
    n_features: int = Field(default=10, ge=5, le=MAX_INPUTS)
    noise: Noise = 0.0
    CLASSES: ClassVar[int | None] = None


class Friedman2(Generated):
    """√(x₀² + (x₁x₂ - 1/(x₁x₃))²), impedance of a circuit (Friedman 1991)."""

    kind: Literal["friedman2"]
    noise: Noise = 0.0
    INPUTS: ClassVar[int] = 4
    CLASSES: ClassVar[int | None] = None


class Friedman3(Generated):
    """arctan((x₁x₂ - 1/(x₁x₃))/x₀), phase of a circuit (Friedman 1991)."""

    kind: Literal["friedman3"]
    noise: Noise = 0.0
    INPUTS: ClassVar[int] = 4
    CLASSES: ClassVar[int | None] = None


class SparseUncorrelated(Generated):
    """x₀ + 2x₁ - 2x₂ - 1.5x₃ plus noise; the other inputs say nothing."""

    kind: Literal["sparse_uncorrelated"]
    n_features: int = Field(default=10, ge=4, le=MAX_INPUTS)
    CLASSES: ClassVar[int | None] = None


class SwissRoll(Generated):
    """A rolled-up sheet in space; the target is the position along the roll."""

    kind: Literal["swiss_roll"]
    noise: Noise = 0.0
    hole: bool = False
    INPUTS: ClassVar[int] = 3
    CLASSES: ClassVar[int | None] = None


class SCurve(Generated):
    """An S-shaped sheet in space; the target is the position along the S."""

    kind: Literal["s_curve"]
    noise: Noise = 0.0
    INPUTS: ClassVar[int] = 3
    CLASSES: ClassVar[int | None] = None


BUNDLED: dict[str, tuple[int, int, int | None]] = {
    "iris": (150, 4, 3),
    "wine": (178, 13, 3),
    "breast_cancer": (569, 30, 2),
    "digits": (1797, 64, 10),
    "diabetes": (442, 10, None),
}
"""Rows, inputs and classes of the data sets that come with scikit-learn."""


class Bundled(DatasetSpec):
    """A real data set that comes with scikit-learn; diabetes is a regression."""

    kind: Literal["iris", "wine", "breast_cancer", "digits", "diabetes"]

    def shape(self) -> tuple[int, int]:
        rows, inputs, _ = BUNDLED[self.kind]
        return rows, inputs

    def classes(self) -> int | None:
        return BUNDLED[self.kind][2]


class Inline(DatasetSpec):
    """Rows sent with the job: `x` is rows × inputs, `y` one target a row."""

    kind: Literal["inline"]
    x: list[Row] = Field(min_length=1, max_length=MAX_ROWS)
    y: list[float] = Field(min_length=1, max_length=MAX_ROWS)

    @model_validator(mode="after")
    def rows_agree(self) -> Self:
        width = len(self.x[0])
        if not 1 <= width <= MAX_INPUTS:
            raise at(("x", 0), f"a row needs 1 to {MAX_INPUTS} numbers, this one has {width}")
        for i, row in enumerate(self.x):
            if len(row) != width:
                raise at(("x", i), f"row {i} has {len(row)} numbers, the first row has {width}")
        if len(self.x) * width > MAX_CELLS:
            raise at(("x",), f"the rows hold more than {MAX_CELLS} numbers")
        if len(self.y) != len(self.x):
            raise at(("y",), f"{len(self.y)} targets for {len(self.x)} rows of x")
        return self

    def shape(self) -> tuple[int, int]:
        return len(self.x), len(self.x[0])

    def classes(self) -> int | None:
        return None

    def distinct_labels(self) -> int:
        return len(set(self.y))


def name_or_position(value: object) -> object:
    """Refuses what is neither with one error: the union would make one for each of its types."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return value
    raise at((), "a column goes by its name or by its position from 0")


Column = Annotated[str | int, BeforeValidator(name_or_position)]


class Csv(DatasetSpec):
    """Comma-separated text, one row a line.

    `target` is the column to predict, by name or by position from 0; the last one when it is
    left out. Targets that are not all numbers are class names: they count from 0 in
    alphabetical order.
    """

    kind: Literal["csv"]
    text: str = Field(min_length=1)
    header: bool = True
    target: Column | None = None
    _table: Table = PrivateAttr()

    @model_validator(mode="after")
    def parse(self) -> Self:
        try:
            self._table = parse_table(self.text, self.header, self.target)
        except NoSuchColumn as error:
            raise at(("target",), str(error)) from None
        except TableError as error:
            raise at(("text",), str(error)) from None
        return self

    @property
    def table(self) -> Table:
        return self._table

    def shape(self) -> tuple[int, int]:
        return len(self._table.x), len(self._table.x[0])

    def classes(self) -> int | None:
        return None if self._table.names is None else len(self._table.names)

    def distinct_labels(self) -> int:
        return len(set(self._table.y))


Dataset = Annotated[
    Moons
    | Circles
    | Blobs
    | Classification
    | GaussianQuantiles
    | Hastie
    | Xor
    | Spiral
    | Gauss
    | Plane
    | MultiGaussian
    | LinearRegression
    | Friedman1
    | Friedman2
    | Friedman3
    | SparseUncorrelated
    | SwissRoll
    | SCurve
    | Bundled
    | Inline
    | Csv,
    Field(discriminator="kind"),
]
