"""Comma-separated text becomes rows of numbers and one target a row."""

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
    """The text is no table of numbers; the message names the line and column."""


class NoSuchColumn(TableError):
    """The target is none of the columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """A parsed file.

    Attributes:
        x: rows × inputs.
        y: one target a row; positions in `names` when there are any.
        names: the classes, when the targets are not all numbers: numbers by value, then names in
            alphabetical order. An empty cell, or one that says NaN, is not a class but a gap and
            refused; so are the other ways to write one, such as NA, where another target is a
            number.
        not_a_number: where there are names, a sentence about the first target that is not a
            number.
        infinite: a sentence about the first target that is not finite, where there are numbers
            among the targets or nothing but such targets.
    """

    x: list[list[float]]
    y: list[float]
    names: tuple[str, ...] | None = None
    not_a_number: str = ""
    infinite: str = ""


def parse_table(text: str, header: bool, target: str | int | None) -> Table:
    """Reads the text; `target` is a column's name or its position from 0, the last if None."""
    rows = _cells(text)
    lines = rows[1:] if header else rows
    if not lines:
        raise TableError("there are no rows of data")
    first, cells = rows[0]
    columns = cells if header else []
    width = len(cells)
    if not 2 <= width <= MAX_INPUTS + 1:
        needed = f"an input and a target, 2 to {MAX_INPUTS + 1} columns"
        raise TableError(f"line {first} has {_width(cells)}; a row needs {needed}{_remedy(cells)}")
    # Columns that nobody has named are called 0, 1, … by pandas.
    counted = columns == [str(i) for i in range(width)]
    if header and not counted and all(_parse(name) is not None for name in columns):
        raise TableError(
            f"line {first} holds numbers only and no names of columns; "
            'if the table has no header, say "header": false'
        )
    if len(lines) * width > MAX_CELLS:
        raise TableError(f"the table holds more than {MAX_CELLS} numbers")
    for number, cells in lines:
        if len(cells) != width:
            found = f"line {number} has {_width(cells)} instead of {width}"
            raise TableError(found + _remedy(cells))
    last = _position(target, columns, width)
    x = [
        [_number(cell, line, i + 1) for i, cell in enumerate(cells) if i != last]
        for line, cells in lines
    ]
    targets = [cells[last] for _, cells in lines]
    try:
        y = [_number(cells[last], line, last + 1) for line, cells in lines]
    except TableError as error:
        gaps = _gaps(targets)
        for (line, _), cell in zip(lines, targets, strict=True):
            if cell.lower() in gaps:
                raise TableError(f"line {line}, column {last + 1}: the target is missing") from None
        infinite = _infinite_label(targets, [line for line, _ in lines], last + 1)
        return Table(x, *_classes(targets), str(error), infinite)
    return Table(x, y)


def _cells(text: str) -> list[tuple[int, list[str]]]:
    """The rows that are not blank: the number of the line where each begins, and its cells."""
    # Spreadsheets begin UTF-8 with a byte-order mark; it is no part of the first cell.
    text = text.removeprefix("\ufeff")
    before, nul, _ = text.partition("\0")
    if nul:
        raise TableError(f"line {len(list(_lines(before + nul)))} holds a NUL, which is no text")
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
    """Only \\r, \\n and \\r\\n end a line; they stay on it, as part of a quoted cell."""
    return io.StringIO(text, newline="")


def _width(cells: list[str]) -> str:
    return "1 column" if len(cells) == 1 else f"{len(cells)} columns"


def _remedy(cells: list[str]) -> str:
    """What to do about a line that another character than the comma seems to separate."""
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
            raise NoSuchColumn(f"there is no column {target}; they count from 0 to {width - 1}")
        return target
    if not columns:
        raise NoSuchColumn(
            f"without a header no column is called {target!r}; "
            f"give the target's position, from 0 to {width - 1}"
        )
    if columns.count(target) != 1:
        raise NoSuchColumn(
            f"no column is called {target!r}; there are {', '.join(columns)}"
            if target not in columns
            else f"more than one column is called {target!r}"
        )
    return columns.index(target)


def _classes(cells: list[str]) -> tuple[list[float], tuple[str, ...]]:
    """The position of each cell's class, and the names of the classes.

    Numbers come first, by value, and other names after them in alphabetical order. Equal numbers
    are one class however they are written; its name is the shortest way, and the first of those
    in alphabetical order, so that the order of the rows decides nothing.
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
    """A sentence about the first label that is a number that went wrong, such as `inf` or `1e400`.

    Among names alone it may be the name of a class.
    """
    wrong = [cell for cell in targets if _is_number_gone_wrong(cell)]
    if not wrong or (len(wrong) < len(targets) and not any(map(_is_number, targets))):
        return ""
    line = lines[targets.index(wrong[0])]
    return (
        f"line {line}, column {column}: the label {wrong[0][:40]!r} is not finite; "
        "give every class a finite number or a name"
    )


def _is_number_gone_wrong(cell: str) -> bool:
    try:
        return not math.isfinite(float(cell))
    except ValueError:
        return False


def _is_number(cell: str) -> bool:
    return _parse(cell) is not None


def _gaps(targets: list[str]) -> frozenset[str]:
    """What stands for a missing target; among names alone, NA or ? may be one of them."""
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
    # Python reads 1_000 as a number; in a file it is more likely a mistake.
    return number if math.isfinite(number) and "_" not in cell else None
