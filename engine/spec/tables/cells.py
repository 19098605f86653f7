"""The cells of a column become numbers: its type, its categories and its gaps."""

from __future__ import annotations

import math
from typing import NamedTuple

from engine.spec.columns import Column
from engine.spec.tables.errors import quoted
from engine.spec.tables.numbers import (
    ALWAYS_GAPS,
    BOOLEANS,
    GAPS,
    all_numbers,
    is_infinite,
    parse,
)

MAX_CATEGORIES = 100
"""A column of more different texts is more likely one of names or remarks than of categories."""


class Cells(NamedTuple):
    """A column that was read.

    Attributes:
        numbers: one per row: the number, 0 or 1, the position of the category, or NaN for a gap.
        gaps: the rows that have no cell.
        wrong: the rows whose cell does not fit, each with a sentence about it.
    """

    column: Column
    numbers: list[float]
    gaps: list[int]
    wrong: list[tuple[int, str]]


def read_cells(name: str, cells: list[str], decimal: str) -> Cells:
    """Reads a column of inputs.

    It holds numbers if at least half of its cells do, so that a mistyped number is named and does
    not make a category. It holds booleans if all cells are true or false, or yes or no, and else
    texts.
    """
    numbers = all_numbers(cells, decimal)
    if numbers is not None:
        return Cells(Column(name), numbers, [], [])
    found = [parse(cell, decimal) for cell in cells]
    gaps = [i for i, cell in enumerate(cells) if found[i] is None and cell.lower() in GAPS]
    filled = len(cells) - len(gaps)
    count = sum(number is not None for number in found)
    infinite = sum(map(is_infinite, cells)) - sum(is_infinite(cells[i]) for i in gaps)
    if 2 * (count + infinite) >= filled:
        return numbers_of(name, cells, found, set(gaps), decimal)
    gaps = [i for i, cell in enumerate(cells) if cell.lower() in GAPS]
    if all(cell.lower() in BOOLEANS or cell.lower() in GAPS for cell in cells):
        values = [BOOLEANS.get(cell.lower(), math.nan) for cell in cells]
        return Cells(Column(name, "boolean"), values, gaps, [])
    gaps = [i for i, cell in enumerate(cells) if cell.lower() in ALWAYS_GAPS]
    categories = sorted(set(cells) - {cells[i] for i in gaps})
    positions = {category: float(i) for i, category in enumerate(categories)}
    values = [positions.get(cell, math.nan) for cell in cells]
    return Cells(Column(name, "text", tuple(categories)), values, gaps, [])


def numbers_of(
    name: str, cells: list[str], found: list[float | None], gaps: set[int], decimal: str
) -> Cells:
    wrong = [
        (i, f"{quoted(cells[i])} is not a finite number" + advice(cells[i], decimal))
        for i, number in enumerate(found)
        if number is None and i not in gaps
    ]
    values = [math.nan if number is None else number for number in found]
    return Cells(Column(name), values, sorted(gaps), wrong)


def advice(cell: str, decimal: str) -> str:
    """What may be the matter with a cell that would be a number in another country."""
    other = "," if decimal == "." else "."
    if parse(cell, other) is not None:
        words = {".": "point", ",": "comma"}
        return f" with a decimal {words[decimal]}; it has a decimal {words[other]}"
    bare = cell.replace(",", "").replace(" ", "").replace("'", "").replace("_", "")
    if bare != cell and parse(bare) is not None:
        return "; write numbers without separators of thousands"
    return ""
