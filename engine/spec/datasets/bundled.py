"""The real data sets that come with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engine.spec.datasets.base import DatasetSpec

if TYPE_CHECKING:
    from engine.arrays import Array


class Bundled(DatasetSpec):
    """A real data set that comes with scikit-learn.

    Attributes:
        ROWS: how many rows it has.
    """

    ROWS: ClassVar[int]

    def make(self) -> tuple[Array, Array]:
        from sklearn import datasets

        load: Any = getattr(datasets, f"load_{self.kind}")
        x, y = load(return_X_y=True)
        return x, y

    def shape(self) -> tuple[int, int]:
        return self.ROWS, self.INPUTS


class Iris(Bundled):
    """Three species of iris by the length and width of sepals and petals (Fisher 1936)."""

    ROWS: ClassVar[int] = 150
    INPUTS: ClassVar[int] = 4
    CLASSES: ClassVar[int | None] = 3

    kind: Literal["iris"]


class Wine(Bundled):
    """Three cultivars of wine by 13 chemical measurements."""

    ROWS: ClassVar[int] = 178
    INPUTS: ClassVar[int] = 13
    CLASSES: ClassVar[int | None] = 3
    LARGEST_INPUT: ClassVar[float] = 1_680.0

    kind: Literal["wine"]


class BreastCancer(Bundled):
    """Malignant and benign tumours by 30 measurements of cell nuclei (Wisconsin, 1995)."""

    ROWS: ClassVar[int] = 569
    INPUTS: ClassVar[int] = 30
    LARGEST_INPUT: ClassVar[float] = 4_254.0

    kind: Literal["breast_cancer"]


class Digits(Bundled):
    """Handwritten digits as 8 × 8 pixels of 0 to 16."""

    ROWS: ClassVar[int] = 1_797
    INPUTS: ClassVar[int] = 64
    CLASSES: ClassVar[int | None] = 10
    LARGEST_INPUT: ClassVar[float] = 16.0

    kind: Literal["digits"]


class Diabetes(Bundled):
    """A regression: the progression of diabetes over a year by ten measurements."""

    ROWS: ClassVar[int] = 442
    INPUTS: ClassVar[int] = 10
    CLASSES: ClassVar[int | None] = None
    LARGEST_INPUT: ClassVar[float] = 0.2

    kind: Literal["diabetes"]
