"""Comma-separated text becomes rows of numbers with one target per row."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

from engine.spec.base import MAX_CELLS, MAX_INPUTS, MAX_ROWS

ALWAYS_GAPS = frozenset({"", "nan"})
GAPS = ALWAYS_GAPS | {"na", "n/a", "null", "none", "?", "-"}


class TableError(ValueError):
    """The text is not a table of numbers; the message names the line, and the column if it can."""


class NoSuchColumn(TableError):
    """The table has no column that could be the target that was asked for."""


@dataclass(frozen=True, slots=True)
class Table:
    """A parsed file.

    Attributes:
        x: rows × inputs.
        y: one target per row; where there are `names`, the position of the row's class in them.
        names: the classes, when not all targets are numbers: first the numbers by value, then
            the names in alphabetical order. An empty cell or one that says NaN is a missing
            target, not a class, and is refused. Other signs of a missing target, such as NA, are
            refused only where some target is a number.
        not_a_number: where there are names, a sentence about the first target that is not a
            number.
        infinite: where some target is a number, or all are infinite, a sentence about the first
            infinite target, which cannot be the label of a class.
    """

    x: list[list[float]]
    y: list[float]
    names: tuple[str, ...] | None = None
    not_a_number: str = ""
    infinite: str = ""


def parse_table(text: str, header: bool, target: str | int | None) -> Table:
    """Reads the text.

    `target` is the name of the target's column or its position from 0; None is the last column.
    """
    rows = _cells(text)
    lines = rows[1:] if header else rows
    if not lines:
        raise TableError("there are no rows of data")
    first, cells = rows[0]
    width = len(cells)
    if not 2 <= width <= MAX_INPUTS + 1:
        needed = f"an input and a target: 2 to {MAX_INPUTS + 1} columns"
        raise TableError(f"line {first} has {_width(cells)}; a row needs {needed}{_remedy(cells)}")
    columns = _column_names(first, cells) if header else []
    _check_rows(lines, width)
    last = _position(target, columns, width)
    x = [
        [_number(cell, line, i + 1) for i, cell in enumerate(cells) if i != last]
        for line, cells in lines
    ]
    return _with_targets(x, [cells[last] for _, cells in lines], [n for n, _ in lines], last + 1)


def _column_names(line: int, cells: list[str]) -> list[str]:
    """The cells of the header; refuses a row of data in its place."""
    # pandas names columns 0, 1, … where nobody else has named them.
    counted = cells == [str(i) for i in range(len(cells))]
    if not counted and all(map(_is_number, cells)):
        raise TableError(
            f"line {line} holds only numbers and no column names; "
            'if the table has no header, set "header" to false'
        )
    return cells


def _check_rows(lines: list[tuple[int, list[str]]], width: int) -> None:
    """Raises where there are too many cells, or a row with more or fewer than the first."""
    if len(lines) * width > MAX_CELLS:
        raise TableError(f"the table holds more than {MAX_CELLS} numbers")
    for line, cells in lines:
        if len(cells) != width:
            found = f"line {line} has {_width(cells)} instead of {width}"
            raise TableError(found + _remedy(cells))


def _with_targets(x: list[list[float]], targets: list[str], lines: list[int], column: int) -> Table:
    """The table with targets that are all numbers, or else the names of classes."""
    try:
        y = [_number(cell, line, column) for cell, line in zip(targets, lines, strict=True)]
    except TableError as error:
        gaps = _gaps(targets)
        for cell, line in zip(targets, lines, strict=True):
            if cell.lower() in gaps:
                raise TableError(f"line {line}, column {column}: the target is missing") from None
        infinite = _infinite_label(targets, lines, column)
        return Table(x, *_classes(targets), str(error), infinite)
    return Table(x, y)


def _cells(text: str) -> list[tuple[int, list[str]]]:
    """The rows that are not blank: for each the number of its first line, and its cells."""
    # Spreadsheets begin UTF-8 with a byte-order mark, which is not part of the first cell.
    text = text.removeprefix("\ufeff")
    before, nul, _ = text.partition("\0")
    if nul:
        raise TableError(f"line {len(list(_lines(before + nul)))} holds a NUL, which is not text")
    reader = csv.reader(_lines(text), strict=True, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if cells not in ([], [""]):
                rows.append((line, cells))
            if len(rows) > MAX_ROWS + 1:
                raise TableError(f"there are more than {MAX_ROWS} rows")
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"line {line} is not CSV: {error}") from None
    return rows


def _lines(text: str) -> Iterable[str]:
    """The lines with their ends, which may belong to a quoted cell.

    Only \\r, \\n and \\r\\n end a line.
    """
    return io.StringIO(text, newline="")


def _width(cells: list[str]) -> str:
    return "1 column" if len(cells) == 1 else f"{len(cells)} columns"


def _remedy(cells: list[str]) -> str:
    """Advice for a line whose cells seem to be separated by something other than commas."""
    if len(cells) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in cells[0]:
                return f"; separate the cells by commas, not by {name}"
    return ""


def _position(target: str | int | None, columns: list[str], width: int) -> int:
    if target is None:
        return width - 1
    if isinstance(target, int):
        if not 0 <= target < width:
            raise NoSuchColumn(f"there is no column {target}; columns count from 0 to {width - 1}")
        return target
    if not columns:
        raise NoSuchColumn(
            f"without a header no column is called {target!r}; "
            f"give the target's position, from 0 to {width - 1}"
        )
    if columns.count(target) != 1:
        raise NoSuchColumn(
            f"no column is called {target!r}; the columns are {', '.join(columns)}"
            if target not in columns
            else f"more than one column is called {target!r}"
        )
    return columns.index(target)


def _classes(cells: list[str]) -> tuple[list[float], tuple[str, ...]]:
    """The position of each cell's class, and the names of the classes.

    Numbers come first, by value, and other names after them in alphabetical order. Equal numbers
    are one class however they are written. Its name is the shortest spelling, the alphabetically
    first where several are equally short, so it does not depend on the order of the rows.
    """
    spellings: dict[float | str, set[str]] = {}
    for cell in set(cells):
        spellings.setdefault(_class_key(cell), set()).add(cell)
    keys = sorted(spellings, key=lambda key: (isinstance(key, str), key))
    positions = {cell: float(i) for i, key in enumerate(keys) for cell in spellings[key]}
    names = tuple(min(spellings[key], key=lambda cell: (len(cell), cell)) for key in keys)
    return [positions[cell] for cell in cells], names


def _class_key(cell: str) -> float | str:
    number = _parse(cell)
    return cell if number is None else number


def _infinite_label(targets: list[str], lines: list[int], column: int) -> str:
    """A sentence about the first label such as `inf` or `1e400`, or nothing if it may stand.

    Among names and without any number, it may be the name of a class.
    """
    wrong = [cell for cell in targets if _is_not_finite(cell)]
    if not wrong or (len(wrong) < len(targets) and not any(map(_is_number, targets))):
        return ""
    line = lines[targets.index(wrong[0])]
    return (
        f"line {line}, column {column}: the label {wrong[0][:40]!r} is not finite; "
        "give every class a finite number or a name"
    )


def _is_not_finite(cell: str) -> bool:
    try:
        return not math.isfinite(float(cell))
    except ValueError:
        return False


def _is_number(cell: str) -> bool:
    return _parse(cell) is not None


def _gaps(targets: list[str]) -> frozenset[str]:
    """The cells that stand for a missing target; among names alone, NA or ? may be a name."""
    return GAPS if any(map(_is_number, targets)) else ALWAYS_GAPS


def _number(cell: str, line: int, column: int) -> float:
    number = _parse(cell)
    if number is None:
        raise TableError(f"line {line}, column {column}: {cell[:40]!r} is not a finite number")
    return number


def _parse(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    # Python reads 1_000 as a number, but in a file it is more likely to be a mistake.
    return number if math.isfinite(number) and "_" not in cell else None
