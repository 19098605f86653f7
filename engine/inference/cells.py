"""One value of a row becomes the number that stands for it in its column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.data.preprocessing import Output
from engine.spec.columns import Column
from engine.spec.tables.numbers import ALWAYS_GAPS, BOOLEANS, GAPS, parse

MOST_NAMED = 20
"""Categories that an error names."""
SHOWN = 40
"""Characters of a value that an error repeats."""


class WrongCell(ValueError):
    """A value that does not fit its column; the message says why."""


def cell_of(column: Column, value: Any) -> float:
    """The number that stands for a value: itself, 0 or 1, the category's position, NaN for None."""
    if value is None:
        return math.nan
    if column.type == "text":
        return category(column, value)
    if column.type == "boolean":
        if isinstance(value, str) and value.lower() in BOOLEANS:
            return BOOLEANS[value.lower()]
        if value in (0, 1):
            return float(value)
        raise WrongCell(f"{column.name} is true or false, not {shown(value)}")
    return number(column.name, value)


def number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongCell(f"{name} is a number, not {shown(value)}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise WrongCell(f"{name} must be a finite number, not {shown(value)}")
    return found


def category(column: Column, value: Any) -> float:
    text = value if isinstance(value, str) else str(value)
    if text not in column.categories:
        known = listed(column.categories)
        raise WrongCell(f"{shown(value)} is not a category of {column.name}; there are {known}")
    return float(column.categories.index(text))


def target_of(name: str, output: Output, value: Any) -> float:
    """The number that stands for a target: itself, the class's position, or NaN for None."""
    if value is None:
        return math.nan
    if output.classes is None:
        return number(name, value)
    text = value if isinstance(value, str) else label_text(value)
    if text not in output.classes:
        known = listed(output.classes)
        raise WrongCell(f"{shown(value)} is not a class of {name}; there are {known}")
    return float(output.classes.index(text))


def label_text(value: Any) -> str:
    """The name of a label: 3 of 3.0, and true of a boolean, as CSV has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def value_of_text(column: Column, text: str, decimal: str) -> Any:
    """The value in a cell of CSV, as JSON would have it; text that does not fit stays text."""
    if column.type == "text":
        gap = text not in column.categories and text.lower() in ALWAYS_GAPS
        return None if gap else text
    if column.type == "boolean" and text.lower() in BOOLEANS:
        return text
    found = parse(text, decimal)
    if found is None:
        return None if text.lower() in GAPS else text
    return found


def target_of_text(output: Output, text: str, decimal: str) -> Any:
    """The same for a target; the label of a class may be written in several ways, as 3 and 3.0."""
    if output.classes is not None and text in output.classes:
        return text
    found = parse(text, decimal)
    return value_of_text(Column(""), text, decimal) if found is None else found


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
