"""Rows as people send them become cells: lists, or objects by column name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.inference.cells import WrongCell, cell_of, listed, target_of
from engine.spec.base import MAX_ROWS, pointer

MOST_PROBLEMS = 10
"""So many mistakes are named; a larger number of them usually has one cause."""


class InvalidRows(ValueError):
    """Rows that the model cannot read.

    Attributes:
        problems: for each of the first ten mistakes the JSON pointer of its place, such as
            `/rows/3/x`, and a sentence about it.
    """

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{place}: {sentence}" for place, sentence in problems))
        self.problems = problems


class Cells(NamedTuple):
    """Rows that were read.

    Attributes:
        cells: rows × columns, as `Preprocessing.inputs` takes them.
        targets: one per row, classes as positions; NaN where a row has none.
    """

    cells: Array
    targets: Array


class Gatherer:
    """Collects the cells of rows, and the first mistakes in them."""

    def __init__(self, model: Preprocessing) -> None:
        self.model = model
        self.cells: list[list[float]] = []
        self.targets: list[float] = []
        self.problems: list[tuple[str, str]] = []

    @property
    def full(self) -> bool:
        return len(self.problems) >= MOST_PROBLEMS

    def refuse(self, place: list[str | int], sentence: str) -> None:
        if not self.full:
            self.problems.append((pointer(place), sentence))

    def add(
        self,
        values: Sequence[Any],
        target: Any,
        places: Sequence[list[str | int]],
        prefixes: Sequence[str] | None = None,
    ) -> None:
        """Adds a row: a value per column, and the target or None.

        `places` are the places of the values, and the last one is the target's, as are the
        `prefixes` of sentences.
        """
        found = []
        for i, value in enumerate((*values, target)):
            try:
                found.append(self.number(i, value))
            except WrongCell as error:
                prefix = prefixes[i] if prefixes is not None else ""
                self.refuse(places[i], f"{prefix}{error}")
        if len(found) == len(values) + 1:
            self.cells.append(found[:-1])
            self.targets.append(found[-1])

    def number(self, i: int, value: Any) -> float:
        if i == len(self.model.columns):
            return target_of(self.model.target, self.model.output, value)
        column = self.model.columns[i]
        found = cell_of(column, value)
        if math.isnan(found) and self.model.means is None:
            raise WrongCell(f"{column.name} has no value, and this model needs one")
        return found

    def gathered(self) -> Cells:
        """What was collected; raises InvalidRows if there were mistakes."""
        if self.problems:
            raise InvalidRows(self.problems)
        cells = np.array(self.cells, dtype=np.float64).reshape(-1, len(self.model.columns))
        return Cells(cells, np.array(self.targets, dtype=np.float64))


def read_rows(
    model: Preprocessing, rows: Sequence[Any], place: str = "rows", most: int = MAX_ROWS
) -> Cells:
    """Reads rows that are lists in the order of the columns, or objects by the columns' names.

    A list may also hold the target, where the training's table had it, and an object the target
    and the columns that the training ignored.

    Args:
        place: the field that holds the rows, for pointers.
        most: more rows than this are refused.

    Raises:
        InvalidRows: with the places of the first ten mistakes.
    """
    check_count(len(rows), place, most)
    quick = numbers_at_once(model, rows)
    if quick is not None:
        return Cells(quick, np.full(len(rows), np.nan))
    gatherer = Gatherer(model)
    for i, row in enumerate(rows):
        if gatherer.full:
            break
        if isinstance(row, Mapping):
            add_object(gatherer, row, [place, i])
        elif isinstance(row, list | tuple):
            add_list(gatherer, row, [place, i])
        else:
            gatherer.refuse([place, i], "a row is a list of values or an object by column name")
    return gatherer.gathered()


def check_count(count: int, place: str, most: int) -> None:
    if count == 0:
        raise InvalidRows([(f"/{place}", "there are no rows")])
    if count > most:
        sentence = f"there are {count:,} rows; at most {most:,} are allowed"
        raise InvalidRows([(f"/{place}", sentence)])


def numbers_at_once(model: Preprocessing, rows: Sequence[Any]) -> Array | None:
    """The cells, quickly, where all rows hold just one number per column."""
    width = len(model.columns)
    if any(column.type != "number" for column in model.columns):
        return None
    if all(type(row) is dict and len(row) == width for row in rows):
        names = [column.name for column in model.columns]
        try:
            rows = [[row[name] for name in names] for row in rows]
        except KeyError:
            return None
    if not all(type(row) is list and len(row) == width for row in rows):
        return None
    if not set(map(type, itertools.chain.from_iterable(rows))) <= {int, float}:
        return None
    try:
        cells = np.array(rows, dtype=np.float64)
    except OverflowError:
        return None
    return cells if np.isfinite(cells).all() else None


def add_list(gatherer: Gatherer, row: Sequence[Any], place: list[str | int]) -> None:
    model, width = gatherer.model, len(gatherer.model.columns)
    positions = list(range(len(row)))
    target = None
    if len(row) == width + 1:
        target = row[model.target_position]
        positions.remove(model.target_position)
    elif len(row) != width:
        names = listed([column.name for column in model.columns])
        sentence = f"the row has {len(row)} values, and the model has {width} columns: {names}"
        gatherer.refuse(place, sentence)
        return
    places = [[*place, i] for i in (*positions, model.target_position)]
    gatherer.add([row[i] for i in positions], target, places)


def add_object(gatherer: Gatherer, row: Mapping[str, Any], place: list[str | int]) -> None:
    model = gatherer.model
    names = [column.name for column in model.columns]
    known = {*names, model.target, *model.ignored}
    for name in row.keys() - known:
        sentence = f"there is no column {str(name)!r}; the columns are {listed(names)}"
        gatherer.refuse([*place, str(name)], sentence)
    absent = [name for name in names if name not in row]
    if absent and model.means is None:
        gatherer.refuse(place, f"the row lacks {listed(absent)}")
        return
    # A column may be called like the target of a file without names.
    target = None if model.target in names else row.get(model.target)
    places = [[*place, name] for name in (*names, model.target)]
    gatherer.add([row.get(name) for name in names], target, places)
