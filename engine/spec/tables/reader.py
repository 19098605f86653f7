"""A text of cells becomes a table: columns with names and types, inputs, and targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.spec.base import MAX_INPUTS
from engine.spec.columns import Column
from engine.spec.tables.cells import MAX_CATEGORIES, Cells, read_cells
from engine.spec.tables.errors import TableError, column_words, together
from engine.spec.tables.grid import Grid, read_grid, unique
from engine.spec.tables.labels import (
    Targets,
    missing_targets,
    rare_labels,
    read_targets,
)
from engine.spec.tables.numbers import parse
from engine.spec.tables.statistics import describe, describe_target

Missing = Literal["refuse", "drop", "mean"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a table is to be read; what is None is found out from the text.

    Attributes:
        header: whether the first row holds the names of the columns.
        target: the column to predict, by name or by position from 0; None is the last one.
        ignore: the columns to leave out, by name or by position from 0. None leaves out an
            unnamed first column that counts or names the rows.
        missing: what happens to gaps: they are refused, their rows are dropped, or they are kept
            as NaN, to be filled with means.
    """

    header: bool | None = None
    target: str | int | None = None
    delimiter: str | None = None
    decimal: str | None = None
    missing: Missing = "refuse"
    ignore: Sequence[str | int] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was read.

    Attributes:
        columns: the columns of inputs.
        x: rows × columns: a number, 0 or 1 for a boolean, the position of a text's category, or
            NaN for a gap that is to be filled.
        targets: the targets, which are also `y` and `names`.
        target: the name of the target's column, and its position among all columns.
        ignored: the positions of the columns that were left out.
        dropped: how many rows were left out because of gaps.
        labels: the cells of the target as texts.
        grid: the names and lines, without the cells, which would take more memory than the rest.
        warnings: sentences about what was guessed or left out.
    """

    columns: tuple[Column, ...]
    x: list[list[float]]
    targets: Targets
    target: tuple[str, int]
    ignored: tuple[int, ...]
    dropped: int
    labels: list[str]
    grid: Grid
    warnings: tuple[str, ...]

    @property
    def y(self) -> list[float]:
        return self.targets.y

    @property
    def names(self) -> tuple[str, ...] | None:
        return self.targets.names

    def rare_labels(self) -> str:
        """A sentence about labels of very few rows, with their lines; empty if there are none."""
        return rare_labels(self.labels, self.grid, self.target[1])

    def report(self) -> dict[str, Any]:
        """What was read, as JSON: rows, columns with statistics, target, classes, dialect."""
        columns = [
            describe(column, [row[i] for row in self.x]) for i, column in enumerate(self.columns)
        ]
        target = describe_target(self.target[0], self.names, self.y)
        return {
            "rows": len(self.x),
            "columns": columns,
            "target": target,
            "header": self.grid.header,
            "delimiter": self.grid.dialect.delimiter,
            "decimal": self.grid.dialect.decimal,
            "ignored": [
                self.grid.names[i] or f"x{i}" for i in self.ignored if i < len(self.grid.names)
            ],
            "dropped": self.dropped,
            "warnings": list(self.warnings),
        }


def read_table(text: str, options: Options | None = None) -> Table:
    """Reads a table.

    Raises:
        NoSuchColumn: there is no column for `target` or `ignore`.
        TableError: the text is not a table, or a cell does not fit; the first ten are named.
    """
    options = options or Options()
    grid = read_grid(text, options.header, options.delimiter, options.decimal)
    width = len(grid.names)
    target = width - 1 if options.target is None else grid.find(options.target)
    ignored, warnings = left_out(grid, target, options.ignore)
    inputs = [i for i in range(width) if i != target and i not in ignored]
    if not inputs:
        raise TableError("the target is the only column; a row needs an input and a target")
    found = [read_cells(name_of(grid, i), grid.column(i), grid.dialect.decimal) for i in inputs]
    gaps = missing_targets(grid, target)
    check_cells(grid, dict(zip(inputs, found, strict=True)), target, gaps, options.missing)
    dropped: set[int] = set()
    if options.missing == "drop":
        dropped = set(gaps).union(*(cells.gaps for cells in found))
    if dropped:
        grid = without_rows(grid, dropped)
        found = [without_gaps(cells, dropped) for cells in found]
    check_categories(inputs, found)
    columns = named_uniquely(found)
    return Table(
        columns=columns,
        x=list(map(list, zip(*(cells.numbers for cells in found), strict=True))),
        targets=read_targets(grid, target),
        target=(grid.names[target] or "y", target),
        ignored=tuple(sorted(ignored)),
        dropped=len(dropped),
        labels=grid.column(target),
        grid=replace(grid, rows=[]),
        warnings=tuple(
            grid.warnings + warnings + renamed(found, columns) + many_texts(columns, grid)
        ),
    )


def parse_table(text: str, header: bool, target: str | int | None) -> Table:
    """`read_table` as version 0.1 called it, which `engine.moved` still finds."""
    return read_table(text, Options(header=header, target=target))


def left_out(
    grid: Grid, target: int, ignore: Sequence[str | int] | None
) -> tuple[set[int], list[str]]:
    """The columns that are no inputs, and a sentence about them where nobody asked for it."""
    if ignore is not None:
        found = {grid.find(wanted, "ignore") for wanted in ignore}
        return found - {target}, []
    unnamed = any(grid.names) and grid.names[0] in ("", "Unnamed: 0")
    if target == 0 or len(grid.names) < 3 or not unnamed:
        return set(), []
    cells = grid.column(0)
    numbers = [parse(cell) for cell in cells]
    counting = all(number == i for i, number in enumerate(numbers, start=whole(numbers[0])))
    naming = not any(number is not None for number in numbers) and len(set(cells)) == len(cells)
    if not counting and not naming:
        return set(), []
    verb = "counts" if counting else "names"
    return {0}, [
        f"column 1 has no name and {verb} the rows; it is left out. Give it a name if it is an "
        'input, or set "ignore" to []'
    ]


def whole(number: float | None) -> int:
    return 0 if number is None else int(number)


def name_of(grid: Grid, position: int) -> str:
    return grid.names[position] or f"x{position}"


def check_cells(
    grid: Grid, inputs: dict[int, Cells], target: int, targets: list[int], missing: Missing
) -> None:
    """Raises where a column of numbers holds anything else, or where gaps may not be.

    `inputs` are the columns by their positions, and `targets` the rows without a target.
    """
    wrong = [
        (grid.place(row, position), sentence)
        for position, cells in inputs.items()
        for row, sentence in cells.wrong
    ]
    # The other cells of such a line would be wrong as well.
    first = not grid.header and any(place.line == grid.lines[0] for place, _ in wrong)
    remedies = ['if line 1 holds the names of the columns, set "header" to true'] if first else []
    if missing == "refuse":
        gaps = [
            (grid.place(row, position), f"{grid.rows[row][position]!r} is not a value")
            for position, cells in inputs.items()
            for row in cells.gaps
        ]
        wrong += gaps
        if gaps:
            remedies.append(
                'fill the gaps, or set "missing" to "drop" to leave such rows out, or to "mean" to '
                "fill them with the mean of their column"
            )
    if missing != "drop" and targets:
        wrong += [(grid.place(row, target), "the target is missing") for row in targets]
        remedies.append('fill in the target, or set "missing" to "drop" to leave such rows out')
    if wrong:
        sentences = (f"{place}: {sentence}" for place, sentence in sorted(wrong))
        raise TableError(together(sentences, "; ".join(remedies)))


def without_rows(grid: Grid, dropped: set[int]) -> Grid:
    kept = [i for i in range(len(grid.rows)) if i not in dropped]
    if not kept:
        raise TableError("every row has a gap; there are no rows of data left")
    return replace(
        grid,
        rows=[grid.rows[i] for i in kept],
        lines=[grid.lines[i] for i in kept],
        warnings=[*grid.warnings, f"{len(dropped)} rows with gaps were left out"],
    )


def without_gaps(cells: Cells, dropped: set[int]) -> Cells:
    """A column without the rows that were dropped, and without categories that none has left."""
    numbers = [number for i, number in enumerate(cells.numbers) if i not in dropped]
    column = cells.column
    if column.type == "text":
        used = sorted(set(numbers))
        column = Column(column.name, "text", tuple(column.categories[int(i)] for i in used))
        positions = {old: float(new) for new, old in enumerate(used)}
        numbers = [positions[number] for number in numbers]
    return Cells(column, numbers, [], [])


def check_categories(inputs: list[int], found: list[Cells]) -> None:
    """Raises where a column holds too many texts to be categories, or nothing at all."""
    for position, (column, numbers, *_) in zip(inputs, found, strict=True):
        words = column_words(position + 1, column.name)
        if all(map(math.isnan, numbers)):
            raise TableError(f'{words} has no values; leave it out with "ignore"')
        if len(column.categories) > MAX_CATEGORIES:
            raise TableError(
                f"{words} holds {len(column.categories)} different texts, and at most "
                f'{MAX_CATEGORIES} can be categories; leave it out with "ignore"'
            )
    total = sum(cells.column.inputs for cells in found)
    if total > MAX_INPUTS:
        raise TableError(f"the columns become {total} inputs; at most {MAX_INPUTS} are allowed")


def named_uniquely(found: list[Cells]) -> tuple[Column, ...]:
    names = unique([cells.column.name for cells in found])
    return tuple(
        Column(name, cells.column.type, cells.column.categories)
        for name, cells in zip(names, found, strict=True)
    )


def renamed(found: list[Cells], columns: tuple[Column, ...]) -> list[str]:
    return [
        f"more than one column is called {cells.column.name!r}; one of them is now {column.name!r}"
        for cells, column in zip(found, columns, strict=True)
        if cells.column.name != column.name
    ]


def many_texts(columns: tuple[Column, ...], grid: Grid) -> list[str]:
    """Sentences about columns whose texts hardly occur twice, such as names and dates."""
    return [
        f"column {column.name} becomes {len(column.categories)} inputs, one per text, for "
        f'{len(grid.rows)} rows; leave it out with "ignore" if its texts are not categories'
        for column in columns
        if 3 <= len(grid.rows) < 2 * len(column.categories)
    ]
