"""The real data sets that come with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engine.spec.columns import Column, named
from engine.spec.datasets.base import DatasetSpec

if TYPE_CHECKING:
    from engine.arrays import Array


NUCLEUS = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
"""What is measured of the cell nuclei of a tumour."""


class Bundled(DatasetSpec):
    """A real data set that comes with scikit-learn.

    Attributes:
        ROWS: how many rows it has.
        COLUMNS: the names of its columns, as scikit-learn calls them.
        CLASS_NAMES: the names of its classes; None in a regression.
        TARGET: the name of what is predicted.
    """

    ROWS: ClassVar[int]
    COLUMNS: ClassVar[tuple[str, ...]]
    CLASS_NAMES: ClassVar[tuple[str, ...] | None] = None
    TARGET: ClassVar[str] = "class"

    def columns(self) -> tuple[Column, ...]:
        return named(self.COLUMNS)

    def class_names(self) -> tuple[str, ...] | None:
        return self.CLASS_NAMES

    def target_name(self) -> str:
        return self.TARGET

    def make(self) -> tuple[Array, Array]:
        from sklearn import datasets

        load: Any = getattr(datasets, f"load_{self.kind}")
        x, y = load(return_X_y=True)
        return x, y

    def raw_shape(self) -> tuple[int, int]:
        return self.ROWS, self.INPUTS


class Iris(Bundled):
    """Three species of iris by the length and width of sepals and petals (Fisher 1936)."""

    ROWS: ClassVar[int] = 150
    INPUTS: ClassVar[int] = 4
    CLASSES: ClassVar[int | None] = 3
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "sepal length (cm)",
        "sepal width (cm)",
        "petal length (cm)",
        "petal width (cm)",
    )
    CLASS_NAMES: ClassVar[tuple[str, ...] | None] = (
        "setosa",
        "versicolor",
        "virginica",
    )
    TARGET: ClassVar[str] = "species"

    kind: Literal["iris"]


class Wine(Bundled):
    """Three cultivars of wine by 13 chemical measurements."""

    ROWS: ClassVar[int] = 178
    INPUTS: ClassVar[int] = 13
    CLASSES: ClassVar[int | None] = 3
    LARGEST_INPUT: ClassVar[float] = 1_680.0
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "alcohol",
        "malic_acid",
        "ash",
        "alcalinity_of_ash",
        "magnesium",
        "total_phenols",
        "flavanoids",
        "nonflavanoid_phenols",
        "proanthocyanins",
        "color_intensity",
        "hue",
        "od280/od315_of_diluted_wines",
        "proline",
    )
    CLASS_NAMES: ClassVar[tuple[str, ...] | None] = (
        "class_0",
        "class_1",
        "class_2",
    )

    kind: Literal["wine"]


class BreastCancer(Bundled):
    """Malignant and benign tumours by 30 measurements of cell nuclei (Wisconsin, 1995)."""

    ROWS: ClassVar[int] = 569
    INPUTS: ClassVar[int] = 30
    LARGEST_INPUT: ClassVar[float] = 4_254.0
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *(f"mean {part}" for part in NUCLEUS),
        *(f"{part} error" for part in NUCLEUS),
        *(f"worst {part}" for part in NUCLEUS),
    )
    CLASS_NAMES: ClassVar[tuple[str, ...] | None] = ("malignant", "benign")
    TARGET: ClassVar[str] = "tumour"

    kind: Literal["breast_cancer"]


class Digits(Bundled):
    """Handwritten digits as 8 × 8 pixels of 0 to 16."""

    ROWS: ClassVar[int] = 1_797
    INPUTS: ClassVar[int] = 64
    CLASSES: ClassVar[int | None] = 10
    LARGEST_INPUT: ClassVar[float] = 16.0
    COLUMNS: ClassVar[tuple[str, ...]] = tuple(f"pixel_{i}_{j}" for i in range(8) for j in range(8))
    CLASS_NAMES: ClassVar[tuple[str, ...] | None] = tuple(map(str, range(10)))
    TARGET: ClassVar[str] = "digit"

    kind: Literal["digits"]


class Diabetes(Bundled):
    """A regression: the progression of diabetes over a year by ten measurements."""

    ROWS: ClassVar[int] = 442
    INPUTS: ClassVar[int] = 10
    CLASSES: ClassVar[int | None] = None
    LARGEST_INPUT: ClassVar[float] = 0.2
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "age",
        "sex",
        "bmi",
        "bp",
        "s1",
        "s2",
        "s3",
        "s4",
        "s5",
        "s6",
    )
    TARGET: ClassVar[str] = "progression"

    kind: Literal["diabetes"]
