"""Data sets of one's own: rows sent with the job, as numbers or as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, FailFast, Field, PrivateAttr, model_validator

from engine.spec.base import MAX_CELLS, MAX_INPUTS, MAX_ROWS, at
from engine.spec.columns import Column, numbered
from engine.spec.datasets.base import DatasetSpec
from engine.spec.tables import Missing, NoSuchColumn, Options, Table, TableError, read_table

if TYPE_CHECKING:
    from engine.arrays import Array

# One mistake per row is reported: a row of text would otherwise become an error per cell, and a
# large data set of them a minute of work. One that is too long is refused before it is copied.
Row = Annotated[list[float], FailFast(), Field(max_length=MAX_INPUTS)]


class Inline(DatasetSpec):
    """Rows sent with the job: `x` is rows × inputs, `y` one target per row."""

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

    @property
    def rows_field(self) -> str:
        return "y"

    def raw_shape(self) -> tuple[int, int]:
        return len(self.x), len(self.x[0])

    def columns(self) -> tuple[Column, ...]:
        return numbered(len(self.x[0]))

    def target_name(self) -> str:
        return "y"

    def classes(self) -> int | None:
        return None

    def distinct_labels(self) -> int:
        return len(set(self.y))

    def largest_cell(self) -> float:
        return largest(self.x)

    def known_targets(self) -> list[float]:
        return self.y

    def make(self) -> tuple[Array, Array]:
        return arrays(self.x, self.y)


def name_or_position(value: object) -> object:
    """Refuses what is neither with one error: the union would make one for each of its types."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return value
    raise at((), "a column goes by its name or by its position from 0")


ColumnName = Annotated[str | int, BeforeValidator(name_or_position)]

FIELDS_OF_0_1 = {"kind", "standardise", "standardise_targets", "text", "header", "target"}


class Csv(DatasetSpec):
    """A table as text, one row per line.

    What is null is found out from the text, and the normalised specification holds what was
    found: whether the first row is a `header`, the `delimiter` between cells, the `decimal` sign,
    and the columns to `ignore`, which are none but an unnamed first one that counts or names the
    rows. `target` is the column to predict, by name or by position from 0; the last one when it
    is left out. Targets that are not all numbers are class names: they count from 0, numbers first
    by value, then names in alphabetical order.

    A column of texts becomes one input per text: 1 for that of the row, else 0. Gaps are refused
    unless `missing` says to `drop` their rows, or to fill them with the `mean` of the training
    rows.
    """

    kind: Literal["csv"]
    text: str = Field(min_length=1)
    header: bool | None = None
    target: ColumnName | None = None
    delimiter: Literal[",", ";", "\t", "|", " "] | None = None
    decimal: Literal[".", ","] | None = None
    missing: Missing = "refuse"
    ignore: list[ColumnName] | None = None
    _table: Table = PrivateAttr()

    @model_validator(mode="after")
    def parse(self) -> Self:
        try:
            self._table = self.table_of_0_1() or read_table(self.text, self.options())
        except NoSuchColumn as error:
            raise at((error.field,), str(error)) from None
        except TableError as error:
            raise at(("text",), str(error)) from None
        # The normalised specification says how the text was read, so it is read like this forever.
        grid = self._table.grid
        self.__dict__.update(
            header=grid.header if self.header is None else self.header,
            delimiter=grid.dialect.delimiter,
            decimal=grid.dialect.decimal,
            ignore=list(self._table.ignored),
        )
        return self

    def options(self) -> Options:
        return Options(
            header=self.header,
            target=self.target,
            delimiter=self.delimiter,
            decimal=self.decimal,
            missing=self.missing,
            ignore=self.ignore,
        )

    def table_of_0_1(self) -> Table | None:
        """The table as version 0.1 read it, if this is a specification that it has stored.

        It had just these fields, knew only commas and points, and left no column out.
        """
        if self.model_fields_set != FIELDS_OF_0_1:
            return None
        try:
            table = read_table(self.text, Options(self.header, self.target, ",", ".", ignore=()))
        except TableError:
            return None
        return table if all(column.type == "number" for column in table.columns) else None

    @property
    def table(self) -> Table:
        return self._table

    @property
    def rows_field(self) -> str:
        return "text"

    def raw_shape(self) -> tuple[int, int]:
        return len(self._table.x), len(self._table.columns)

    def encoded_inputs(self) -> int:
        return sum(column.inputs for column in self._table.columns)

    def columns(self) -> tuple[Column, ...]:
        return self._table.columns

    def target_name(self) -> str:
        return self._table.target[0]

    def class_names(self) -> tuple[str, ...] | None:
        return self._table.names

    def classes(self) -> int | None:
        return None if self._table.names is None else len(self._table.names)

    def distinct_labels(self) -> int:
        return len(set(self._table.y))

    def largest_cell(self) -> float:
        # What a text becomes is no larger than 1, but its position may be.
        columns = self._table.columns
        numbers = [i for i, column in enumerate(columns) if column.type != "text"]
        if len(numbers) == len(columns) and self.missing != "mean":
            return largest(self._table.x)
        cells = ((abs(row[i]) for i in numbers) for row in self._table.x)
        return max((size for row in cells for size in row if size == size), default=1.0)

    def known_targets(self) -> list[float]:
        return self._table.y

    def fills_gaps(self) -> bool:
        return self.missing == "mean"

    def ignored_columns(self) -> tuple[str, ...]:
        return tuple(self._table.grid.names[i] for i in self._table.ignored)

    def target_position(self) -> int:
        position = self._table.target[1]
        return position - sum(i < position for i in self._table.ignored)

    def remarks(self) -> tuple[str, ...]:
        return self._table.warnings

    def make(self) -> tuple[Array, Array]:
        return arrays(self._table.x, self._table.y)


def largest(rows: list[list[float]]) -> float:
    return max(max(max(row), -min(row)) for row in rows)


def arrays(x: list[list[float]], y: list[float]) -> tuple[Array, Array]:
    import numpy as np  # here, because checking a specification needs no NumPy

    return np.array(x), np.array(y)
