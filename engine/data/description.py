"""A data set of any kind in figures: its rows, its columns and its target."""

from __future__ import annotations

from typing import Any

from engine.data.loading import load
from engine.spec.datasets import Csv, DatasetSpec
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
    if isinstance(dataset, Csv):
        return dataset.table.report()
    cells, y = load(dataset)
    return {
        "rows": len(cells),
        "columns": [
            describe(column, cells[:, i].tolist()) for i, column in enumerate(dataset.columns())
        ],
        "target": describe_target(dataset.target_name(), dataset.class_names(), y.tolist()),
    }
