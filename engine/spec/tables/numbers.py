"""Cells as numbers, as booleans and as gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

ALWAYS_GAPS = frozenset({"", "nan", "+nan", "-nan"})
GAPS = ALWAYS_GAPS | {"na", "n/a", "#n/a", "null", "none", "?", "-"}
"""Cells, in lower case, that say that there is no number. Among names most may be a name."""

BOOLEANS = {"false": 0.0, "no": 0.0, "true": 1.0, "yes": 1.0}


def parse(cell: str, decimal: str = ".") -> float | None:
    """The finite number in a cell; None where there is none.

    `decimal` is the decimal sign. With a comma, a cell with a point is not a number: it might be
    a thousand or a thousandth of what is meant.
    """
    if decimal == ",":
        cell = "" if "." in cell else cell.replace(",", ".")
    try:
        number = float(cell)
    except ValueError:
        return None
    # Python reads 1_000 as a number, but in a file it is more likely to be a mistake.
    return number if math.isfinite(number) and "_" not in cell else None


def is_infinite(cell: str) -> bool:
    """Whether a cell says infinity or NaN, or holds a number that is too large."""
    try:
        return not math.isfinite(float(cell))
    except ValueError:
        return False


def all_numbers(cells: Sequence[str], decimal: str) -> list[float] | None:
    """The numbers of a column, quickly; None where a cell is anything else."""
    joined = "\n".join(cells)
    if "_" in joined or (decimal == "," and "." in joined):
        return None
    try:
        numbers = list(
            map(float, joined.replace(",", ".").split("\n") if decimal == "," else cells)
        )
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
