"""Columns in figures, as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.spec.columns import Column

MOST_LABELS = 100
"""Whole targets of more values than this are numbers rather than labels."""
EXACT = 1e15
"""Up to here a whole number is written with all its digits."""


def describe(column: Column, numbers: Sequence[float]) -> dict[str, Any]:
    """The name, the type and the count of a column; and its categories, or min, mean and max.

    `count` is the number of rows with a value, `missing` that of the others, which are NaN. The
    `categories` are objects with the name and the count of each.
    """
    filled = [number for number in numbers if not math.isnan(number)]
    found: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "count": len(filled),
        "missing": len(numbers) - len(filled),
    }
    if column.type == "text":
        return found | {"categories": counts(column.categories, filled)}
    return found | {"min": min(filled), "mean": mean(filled), "max": max(filled)}


def describe_target(name: str, classes: Sequence[str] | None, y: Sequence[float]) -> dict[str, Any]:
    """The same of the target: `classes` with the name and the count of each, if there are any.

    Whole numbers of a few values are classes for a loss of classes, so they are counted as well.
    """
    if classes is not None:
        found = {"name": name, "type": "class", "count": len(y), "missing": 0}
        return found | {"classes": counts(classes, y)}
    found = describe(Column(name), y)
    labels = Counter(y)
    if len(labels) <= MOST_LABELS and all(label.is_integer() for label in labels):
        found["classes"] = [
            {"name": label_name(label), "count": labels[label]} for label in sorted(labels)
        ]
    return found


def label_name(label: float) -> str:
    """The name of the class of a label: 3 and not 3.0."""
    return str(int(label)) if label.is_integer() and abs(label) < EXACT else repr(label)


def counts(names: Sequence[str], positions: Sequence[float]) -> list[dict[str, Any]]:
    found = Counter(positions)
    return [{"name": name, "count": found[float(i)]} for i, name in enumerate(names)]


def mean(numbers: Sequence[float]) -> float:
    """The mean, which is finite also where the sum is not."""
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return math.fsum(number / len(numbers) for number in numbers)
