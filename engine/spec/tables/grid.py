"""Records become a grid: columns of equally many cells under one name each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from engine.spec.base import MAX_CELLS, MAX_INPUTS, MAX_ROWS
from engine.spec.tables import header as headers
from engine.spec.tables.dialect import Dialect, sniff
from engine.spec.tables.errors import NoSuchColumn, Place, TableError, shortened, together
from engine.spec.tables.numbers import parse
from engine.spec.tables.records import DELIMITERS, Record, Source, records, source


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of texts.

    Attributes:
        header: whether the first row held the names. A comment above the rows may do it too.
        names: one per column, "" where the file has none.
        rows: the cells of each row of data.
        lines: the line of each row, as an editor counts it.
        warnings: sentences about what was guessed or left out.
    """

    dialect: Dialect
    header: bool
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    warnings: list[str]

    def column(self, position: int) -> list[str]:
        return [row[position] for row in self.rows]

    def place(self, row: int, position: int) -> Place:
        return Place(self.lines[row], position + 1, self.names[position])

    def find(self, wanted: str | int, field: str = "target") -> int:
        """The position of a column that is asked for by its name or by its position."""
        width = len(self.names)
        if isinstance(wanted, int):
            if not 0 <= wanted < width:
                raise NoSuchColumn(
                    f"there is no column {wanted}; columns count from 0 to {width - 1}", field
                )
            return wanted
        if not any(self.names):
            raise NoSuchColumn(
                f"without a header no column is called {wanted!r}; "
                f"give the {field}'s position, from 0 to {width - 1}",
                field,
            )
        if self.names.count(wanted) != 1:
            raise NoSuchColumn(
                f"no column is called {wanted!r}; the columns are {', '.join(self.names)}"
                if wanted not in self.names
                else f"more than one column is called {wanted!r}",
                field,
            )
        return self.names.index(wanted)


def read_grid(
    text: str,
    header: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    least: int = 2,
) -> Grid:
    """The cells of a text in at least `least` columns; what is None is found out.

    Raises:
        TableError: the text is not a table, or holds too much.
    """
    start = source(text)
    dialect = sniff(start, delimiter, decimal)
    rows = list(itertools.islice(records(start, dialect.delimiter), MAX_ROWS + 2))
    if not rows:
        raise TableError("there are no rows of data")
    rows, warnings = without_empty_columns(with_row_names(rows))
    check_widths(rows, dialect, least)
    names, warning = names_of(rows, header, dialect, start)
    if names is None:
        data, found = rows, commented_names(start, dialect, len(rows[0].cells))
    else:
        data, found = rows[1:], names
    if len(data) > MAX_ROWS:
        raise TableError(f"there are more than {MAX_ROWS} rows")
    if not data:
        raise TableError("there are no rows of data")
    return Grid(
        dialect=dialect,
        header=names is not None,
        names=found,
        rows=[cells for _, cells in data],
        lines=[line for line, _ in data],
        warnings=warning + warnings,
    )


def with_row_names(rows: list[Record]) -> list[Record]:
    """Gives the first column an empty name where the first line has one cell less than all others.

    R writes tables with the names of rows like this.
    """
    width = len(rows[0].cells) + 1
    if (
        len(rows) > 1
        and width > 2
        and all(len(cells) == width and cells[-1] for _, cells in rows[1:])
    ):
        return [Record(rows[0].line, ["", *rows[0].cells]), *rows[1:]]
    return rows


def without_empty_columns(rows: list[Record]) -> tuple[list[Record], list[str]]:
    """Leaves out columns at the right that have neither a name nor any cell."""
    width = len(rows[0].cells)
    while width > 1 and not any(len(c) >= width and c[width - 1] for _, c in rows):
        width -= 1
    left_out = len(rows[0].cells) - width
    cut = [
        Record(line, cells[:width]) if len(cells) > width and not any(cells[width:])
        else Record(line, cells)
        for line, cells in rows
    ]  # fmt: skip
    if not left_out:
        return cut, []
    columns = "column is" if left_out == 1 else "columns are"
    return cut, [f"the last {left_out} {columns} empty and left out"]


def check_widths(rows: list[Record], dialect: Dialect, least: int) -> None:
    """Raises where there are too many cells, or a row with more or fewer than the first."""
    first, cells = rows[0]
    width = len(cells)
    if not least <= width <= MAX_INPUTS + 1:
        needed = f"an input and a target: 2 to {MAX_INPUTS + 1} columns"
        advice = advice_about(cells, dialect)
        if len(rows) > 1 and len(rows[1].cells) > width:
            advice += '; begin a line that is a title or a remark with "#"'
        raise TableError(f"line {first} has {count_words(cells)}; a row needs {needed}{advice}")
    if (len(rows) - 1) * width > MAX_CELLS:
        raise TableError(f"the table holds more than {MAX_CELLS} numbers")
    wrong = [row for row in rows if len(row.cells) != width]
    if wrong:
        found = (
            f"line {line} has {count_words(cells)} instead of {width}" for line, cells in wrong
        )
        raise TableError(together(found, "") + advice_about(wrong[0].cells, dialect))


def count_words(cells: list[str]) -> str:
    return "1 column" if len(cells) == 1 else f"{len(cells)} columns"


def advice_about(cells: list[str], dialect: Dialect) -> str:
    """Advice for a line whose cells seem to be separated by something else."""
    if len(cells) == 1:
        for delimiter, name in DELIMITERS.items():
            if delimiter != dialect.delimiter and delimiter in cells[0]:
                return (
                    f"; separate all cells by {DELIMITERS[dialect.delimiter]}, not by {name}, "
                    'or name their "delimiter"'
                )
        return ""
    if dialect.delimiter == ",":
        return '; put a cell that holds a comma between quotation marks (")'
    return ""


def names_of(
    rows: list[Record], header: bool | None, dialect: Dialect, start: Source
) -> tuple[list[str] | None, list[str]]:
    """The names in the first row, None if it is data; and sentences about a doubtful decision."""
    line, cells = rows[0]
    looks_like = headers.evidence([row.cells for row in rows[: headers.SAMPLE]], dialect.decimal)
    shown = shortened(", ".join(cells))
    if header is None:
        if any(commented_names(start, dialect, len(cells))) and looks_like != "names":
            return None, []
        if looks_like == "data":
            return None, [] if len(rows) == 1 or not headers.counts(cells) else [
                f"line {line} ({shown}) was read as data; if it holds the names of the columns, "
                'set "header" to true'
            ]
        doubtful = looks_like == "unclear" or headers.counts(cells)
        return cells, [
            f"line {line} ({shown}) was read as the names of the columns; if it is data, "
            'set "header" to false'
        ] if doubtful else []
    if not header:
        return None, [] if looks_like != "names" or headers.counts(cells) else [
            f"line {line} ({shown}) looks like the names of the columns, but was read as data, "
            'as "header" is false'
        ]
    numbers = all(parse(cell, dialect.decimal) is not None for cell in cells)
    if numbers and not headers.counts(cells):
        raise TableError(
            f"line {line} holds only numbers and no column names; "
            'if the table has no header, set "header" to false'
        )
    return cells, [] if looks_like != "data" else [
        f"line {line} ({shown}) looks like data, but was read as the names of the columns, "
        'as "header" is true'
    ]


def commented_names(start: Source, dialect: Dialect, width: int) -> list[str]:
    """The names in the last comment above the table, as NumPy writes them; else empty ones."""
    if start.comment:
        for _, cells in records(Source(start.comment, 0, None, ""), dialect.delimiter, 1):
            if len(cells) == width and any(parse(c, dialect.decimal) is None for c in cells):
                return cells
    return [""] * width


def unique(names: Sequence[str]) -> list[str]:
    """The names, with .1, .2, … behind those that occur again, as pandas does it."""
    taken: set[str] = set(names)
    seen: set[str] = set()
    found = []
    for name in names:
        candidate, again = name, 0
        while candidate in seen or (again and candidate in taken):
            again += 1
            candidate = f"{name}.{again}"
        seen.add(candidate)
        found.append(candidate)
    return found
