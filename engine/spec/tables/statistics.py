"""Columns in figures, as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.spec.columns import Column


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


def describe_classes(name: str, classes: Sequence[str], y: Sequence[float]) -> dict[str, Any]:
    """The same of a target that holds the positions of classes."""
    return {
        "name": name,
        "type": "class",
        "count": len(y),
        "missing": 0,
        "classes": counts(classes, y),
    }


def counts(names: Sequence[str], positions: Sequence[float]) -> list[dict[str, Any]]:
    found = Counter(positions)
    return [{"name": name, "count": found[float(i)]} for i, name in enumerate(names)]


def mean(numbers: Sequence[float]) -> float:
    """The mean, which is finite also where the sum is not."""
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return math.fsum(number / len(numbers) for number in numbers)
