"""Errors about a table, and their places: the line as an editor counts it, and the column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MOST_SHOWN = 10
"""So many wrong cells are named; a larger number of them usually has one cause."""
SHOWN = 40
"""Characters of a cell that an error repeats."""


class TableError(ValueError):
    """The text is not a table; the message names the line, and the column if it can."""


class NoSuchColumn(TableError):
    """The table has no column that was asked for; `field` is the option that asks for it."""

    def __init__(self, message: str, field: str = "target") -> None:
        super().__init__(message)
        self.field = field


class Place(NamedTuple):
    """A cell: its line and its column, both counted from 1, and the column's name if it has one."""

    line: int
    column: int
    name: str

    def __str__(self) -> str:
        return f"line {self.line}, {column_words(self.column, self.name)}"


def column_words(column: int, name: str) -> str:
    return f"column {column} ({shortened(name)})" if name else f"column {column}"


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def quoted(cell: str) -> str:
    return repr(cell[:SHOWN])


def together(sentences: Iterable[str], remedy: str) -> str:
    """The first ten sentences, the number of the others, and what helps."""
    found = list(sentences)
    shown = "; ".join(found[:MOST_SHOWN])
    more = len(found) - MOST_SHOWN
    return shown + (f"; and {more} more" if more > 0 else "") + (f"; {remedy}" if remedy else "")
