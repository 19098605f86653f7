"""What all data sets share, and the registry that makes them known by their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args

from pydantic import Field

from engine.spec.base import MAX_ROWS, Model
from engine.spec.columns import Column, named, numbered

if TYPE_CHECKING:
    from engine.arrays import Array

RowCount = Annotated[int, Field(ge=2, le=MAX_ROWS)]
Noise = Annotated[float, Field(ge=0, le=1e6)]

DATASETS: dict[str, type[DatasetSpec]] = {}
"""Every data set by its kind."""


class DatasetSpec(Model):
    """The fields that all data sets have.

    `standardise` shifts and scales every input to mean 0 and standard deviation 1,
    `standardise_targets` does the same to the targets of a regression. Both use the statistics of
    the training rows. A column that never changes is only shifted.

    Attributes:
        INPUTS: inputs per row, where the kind fixes them.
        CLASSES: how many, None for a regression.
        LARGEST_INPUT: the order of magnitude of the largest input.
    """

    INPUTS: ClassVar[int] = 2
    CLASSES: ClassVar[int | None] = 2
    LARGEST_INPUT: ClassVar[float] = 10.0

    kind: str
    standardise: bool = False
    standardise_targets: bool = False

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for kind in get_args(cls.model_fields["kind"].annotation):
            DATASETS[kind] = cls

    def make(self) -> tuple[Array, Array]:
        """Cells (rows × columns) and one target per row; classes count from 0.

        A text is the position of its category, and a gap that is to be filled is NaN.

        Raises:
            ValueError: the data set cannot be made from these fields.
        """
        raise NotImplementedError

    def shape(self) -> tuple[int, int]:
        """The rows, and the inputs per row."""
        raise NotImplementedError

    def columns(self) -> tuple[Column, ...]:
        """The columns of inputs, in the order in which `make` returns them."""
        inputs = self.shape()[1]
        return named("xy") if inputs == 2 else numbered(inputs)

    def target_name(self) -> str:
        """The name of what is predicted."""
        return "target"

    def class_names(self) -> tuple[str, ...] | None:
        """The classes by name, where labels are their positions; None where labels are numbers."""
        classes = self.classes()
        return None if classes is None else tuple(map(str, range(classes)))

    def classes(self) -> int | None:
        """How many classes the targets name; None when they are numbers."""
        return self.CLASSES

    def distinct_labels(self) -> int | None:
        """How many different labels the targets hold, where that is known before they are made."""
        return self.classes()

    def largest_input(self) -> float:
        """The largest size of an input, or its order of magnitude before it is made."""
        return self.LARGEST_INPUT

    def known_targets(self) -> list[float] | None:
        """The targets, where they are known before they are made."""
        return None

    def remarks(self) -> tuple[str, ...]:
        """Sentences about what was guessed or left out when the data were read."""
        return ()
