"""Data sets of one's own: rows sent with the job, as numbers or as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, FailFast, Field, PrivateAttr, model_validator

from engine.spec.base import MAX_CELLS, MAX_INPUTS, MAX_ROWS, at
from engine.spec.csv_table import NoSuchColumn, Table, TableError, parse_table
from engine.spec.datasets.base import DatasetSpec

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

    def shape(self) -> tuple[int, int]:
        return len(self.x), len(self.x[0])

    def classes(self) -> int | None:
        return None

    def distinct_labels(self) -> int:
        return len(set(self.y))

    def largest_input(self) -> float:
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


Column = Annotated[str | int, BeforeValidator(name_or_position)]


class Csv(DatasetSpec):
    """Comma-separated text, one row per line.

    `target` is the column to predict, by name or by position from 0; the last one when it is
    left out. Targets that are not all numbers are class names: they count from 0, numbers first
    by value, then names in alphabetical order.
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

    def largest_input(self) -> float:
        return largest(self._table.x)

    def known_targets(self) -> list[float]:
        return self._table.y

    def make(self) -> tuple[Array, Array]:
        return arrays(self._table.x, self._table.y)


def largest(rows: list[list[float]]) -> float:
    return max(max(max(row), -min(row)) for row in rows)


def arrays(x: list[list[float]], y: list[float]) -> tuple[Array, Array]:
    import numpy as np  # here, because checking a specification needs no NumPy

    return np.array(x), np.array(y)
