"""What all data sets share, and the registry that makes them known by their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args

from pydantic import Field, PrivateAttr, StringConstraints

from engine.spec import features
from engine.spec.base import MAX_CELLS, MAX_INPUTS, MAX_ROWS, Model, at
from engine.spec.columns import Column, named, numbered
from engine.spec.features import FeatureError, Term
from engine.spec.tables import Table

if TYPE_CHECKING:
    from engine.arrays import Array

RowCount = Annotated[int, Field(ge=2, le=MAX_ROWS)]
MAX_FEATURES = 1_000
FeatureText = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Noise = Annotated[float, Field(ge=0, le=1e6)]

DATASETS: dict[str, type[DatasetSpec]] = {}
"""Every data set by its kind."""


class DatasetSpec(Model):
    """The fields that all data sets have.

    `features` are the inputs of the network, computed from the columns by their names: a column
    itself, powers such as `x^2`, products such as `x*y`, and sines such as `sin(x)`. If null,
    every column is an input. The columns of a generator are x and y, or x0, x1, … if there are
    more or fewer than two, as are those of rows of one's own.

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
    features: Annotated[list[FeatureText], Field(min_length=1, max_length=MAX_FEATURES)] | None = (
        None
    )
    standardise: bool = False
    standardise_targets: bool = False
    _terms: tuple[Term, ...] | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for kind in get_args(cls.model_fields["kind"].annotation):
            DATASETS[kind] = cls

    @property
    def table(self) -> Table | None:
        """The table that was read, if the data set is one."""
        return None

    @property
    def rows_field(self) -> str:
        """The field of the specification that the targets come from, to be named by errors."""
        return "kind"

    def make(self) -> tuple[Array, Array]:
        """Cells (rows × columns) and one target per row; classes count from 0.

        A text is the position of its category, and a gap that is to be filled is NaN.

        Raises:
            ValueError: the data set cannot be made from these fields.
        """
        raise NotImplementedError

    def raw_shape(self) -> tuple[int, int]:
        """The rows, and the columns of inputs."""
        raise NotImplementedError

    def shape(self) -> tuple[int, int]:
        """The rows, and the inputs of the network per row."""
        return self.raw_shape()[0], self.inputs()

    def inputs(self) -> int:
        """The inputs per row: the features, if there are any, or else what the columns become."""
        if self.features is None:
            return self.encoded_inputs()
        columns = self.columns()
        return sum(features.inputs_of(term, columns) for term in self.terms())

    def encoded_inputs(self) -> int:
        """The numbers that the columns of a row become."""
        return self.raw_shape()[1]

    def terms(self) -> tuple[Term, ...]:
        """The formulas of the features; raises a located validation error for a wrong one."""
        if self._terms is None:
            found = []
            names = features.Names(self.columns())
            for i, text in enumerate(self.features or ()):
                try:
                    found.append(features.parse(text, names))
                except FeatureError as error:
                    raise at(("dataset", "features", i), str(error)) from None
            self._terms = tuple(found)
        return self._terms

    def check_features(self) -> None:
        """Raises a located validation error where features are wrong or too many."""
        if self.features is None:
            return
        rows, inputs = self.shape()
        if inputs > MAX_INPUTS:
            sentence = f"the features become {inputs} inputs; at most {MAX_INPUTS} are allowed"
            raise at(("dataset", "features"), sentence)
        if rows * inputs > MAX_CELLS:
            sentence = f"{rows} rows of {inputs} inputs are more than {MAX_CELLS} numbers"
            raise at(("dataset", "features"), sentence)

    def columns(self) -> tuple[Column, ...]:
        """The columns of inputs, in the order in which `make` returns them."""
        count = self.raw_shape()[1]
        return named("xy") if count == 2 else numbered(count)

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
        largest = self.largest_cell()
        return max((features.bound(term, largest) for term in self.terms()), default=largest)

    def largest_cell(self) -> float:
        """The same of a number in a column."""
        return self.LARGEST_INPUT

    def known_targets(self) -> list[float] | None:
        """The targets, where they are known before they are made."""
        return None

    def fills_gaps(self) -> bool:
        """Whether gaps are filled with the means of the training rows."""
        return False

    def ignored_columns(self) -> tuple[str, ...]:
        """The names of the columns that are left out."""
        return ()

    def target_position(self) -> int:
        """How many columns of inputs stand before the target in a row that holds it."""
        return self.raw_shape()[1]

    def remarks(self) -> tuple[str, ...]:
        """Sentences about what was guessed or left out when the data were read."""
        return ()
