"""Finding out how a table is written: its delimiter and its decimal sign."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import NamedTuple

from engine.spec.tables.errors import TableError
from engine.spec.tables.numbers import parse
from engine.spec.tables.records import DELIMITERS, Source, records

SAMPLE = 50
"""Rows that are looked at."""


class Dialect(NamedTuple):
    """How cells are separated, and what stands before the decimals of a number."""

    delimiter: str
    decimal: str


class Score(NamedTuple):
    """How well a dialect explains the first rows: the larger, the better.

    Attributes:
        regular: the share of the rows with the most usual number of cells.
        first: whether the first row has this number as well.
        numbers: the share of the cells that are numbers.
    """

    regular: float
    first: bool
    numbers: float


def sniff(source: Source, delimiter: str | None, decimal: str | None) -> Dialect:
    """The dialect in which the first rows are most regular and hold the most numbers.

    A `delimiter` or `decimal` that is given stays. Where two dialects are as good, the one with
    commas between cells and points in numbers comes first.
    """
    delimiter = delimiter or source.delimiter
    if delimiter is not None and decimal is not None:
        return Dialect(delimiter, decimal)
    best, highest = Dialect(delimiter or ",", decimal or "."), Score(0.0, False, 0.0)
    for between in DELIMITERS if delimiter is None else (delimiter,):
        sample = first_rows(source, between)
        for sign in (".", ",") if decimal is None else (decimal,):
            # A cell can hold the delimiter only between quotation marks.
            if delimiter is None and decimal is None and between == sign:
                continue
            found = score(sample, sign)
            if found > highest:
                best, highest = Dialect(between, sign), found
    return best


def first_rows(source: Source, delimiter: str) -> list[list[str]]:
    try:
        return [record.cells for record in records(source, delimiter, SAMPLE)]
    except TableError:
        return []


def score(rows: list[list[str]], decimal: str) -> Score:
    widths = Counter(len(cells) for cells in rows if len(cells) > 1)
    if not widths:
        return Score(0.0, False, 0.0)
    ((width, count),) = widths.most_common(1)
    # The header may lack the name of the first column.
    named = len(rows[0]) == width - 1 > 1 and count == len(rows) - 1
    cells = list(itertools.chain.from_iterable(rows))
    numbers = sum(parse(cell, decimal) is not None for cell in cells) / len(cells)
    if named and len(rows) > 1:
        return Score(1.0, True, numbers)
    return Score(count / len(rows), len(rows[0]) == width, numbers)
