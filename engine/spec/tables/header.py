"""Whether the first row of a table holds the names of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from engine.spec.tables.numbers import BOOLEANS, GAPS, is_infinite, parse

Evidence = Literal["names", "data", "unclear"]

SAMPLE = 1_000
"""Rows below the first that are looked at."""
PANDAS_COLUMNS = 3
"""From this many columns on, a first row 0, 1, 2, … is more likely pandas' names than data."""


def evidence(rows: Sequence[Sequence[str]], decimal: str) -> Evidence:
    """What the first row looks like, compared with the rows below it.

    - A text above a column of numbers is a name. One is enough: no row of data would fit there.
    - Numbers above columns of numbers are data, and so is a text that occurs again below.
    - Otherwise it is `unclear`, for instance where all columns hold texts.
    """
    first, below = rows[0], rows[1 : SAMPLE + 1]
    if counts(first) and len(first) >= PANDAS_COLUMNS:
        return "names"
    if not below:
        return "data" if all(parse(cell, decimal) is not None for cell in first) else "names"
    found = [
        of_column(cell, [row[i] for row in below if i < len(row)], decimal)
        for i, cell in enumerate(first)
    ]
    if "names" in found:
        return "names"
    return "data" if "data" in found else "unclear"


def of_column(cell: str, below: list[str], decimal: str) -> Evidence:
    if cell.lower() in GAPS or is_infinite(cell):
        return "unclear"
    filled = [other for other in below if other.lower() not in GAPS]
    numbers = [other for other in filled if parse(other, decimal) is not None]
    if filled and len(numbers) == len(filled):
        return "data" if parse(cell, decimal) is not None else "names"
    if filled and all(other.lower() in BOOLEANS for other in filled):
        return "data" if cell.lower() in BOOLEANS else "names"
    return "data" if cell in filled else "unclear"


def counts(cells: Sequence[str]) -> bool:
    """Whether the cells are 0, 1, 2, …, as pandas names columns that nobody else has named."""
    return list(cells) == [str(i) for i in range(len(cells))]
