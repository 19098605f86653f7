"""A data set of any kind in figures: its rows, its columns and its target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from engine.arrays import Array
from engine.data.loading import load
from engine.spec.columns import Column
from engine.spec.datasets import DatasetSpec
from engine.spec.tables.statistics import describe, describe_target


def describe_dataset(dataset: DatasetSpec) -> dict[str, Any]:
    """The rows, the columns with their statistics, and the target, as JSON.

    A column has `name`, `type`, `count` and `missing`, and `min`, `mean` and `max`, or
    `categories` with the name and the count of each. The target has `classes` where it names
    them. For a table the answer also says how it was read: `header`, `delimiter`, `decimal`,
    `ignored`, `dropped` and `warnings`.

    Raises:
        InvalidData: the data set cannot be made.
    """
    if dataset.table:
        return dataset.table.report()
    cells, y = load(dataset)
    return {
        "rows": len(cells),
        "columns": [
            describe(column, cells[:, i].tolist()) for i, column in enumerate(dataset.columns())
        ],
        "target": describe_target(dataset.target_name(), dataset.class_names(), y.tolist()),
    }


class NamedRow(NamedTuple):
    """A row: its number from 0, its values by the names of the columns, and its target."""

    row: int
    values: dict[str, float | bool | str | None]
    target: float | str


def matrix(dataset: DatasetSpec) -> Array:
    """The rows as `load` returns them, with the target as the last column.

    Raises:
        InvalidData: the data set cannot be made.
    """
    cells, y = load(dataset)
    return np.column_stack([cells, y])


def named_rows(report: Mapping[str, Any], rows: Array, first: int) -> list[NamedRow]:
    """Rows as people know them.

    Texts and classes have their names, booleans are booleans, and a gap that is to be filled is
    None.

    Args:
        report: what `describe_dataset` returns.
        rows: some rows of the `matrix`, from the row `first` on.
    """
    columns = [
        Column(found["name"], found["type"], names(found.get("categories", ())))
        for found in report["columns"]
    ]
    target = report["target"]
    classes = names(target["classes"]) if target["type"] == "class" else None
    return [
        NamedRow(
            number,
            {column.name: named(column, cell) for column, cell in zip(columns, row, strict=True)},
            last if classes is None else classes[int(last)],
        )
        for number, (*row, last) in enumerate(rows.tolist(), start=first)
    ]


def names(counted: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names in a list of names and counts."""
    return tuple(one["name"] for one in counted)


def named(column: Column, cell: float) -> float | bool | str | None:
    """A cell as people know it."""
    if math.isnan(cell):
        return None
    if column.type == "text":
        return column.categories[int(cell)]
    return bool(cell) if column.type == "boolean" else cell
