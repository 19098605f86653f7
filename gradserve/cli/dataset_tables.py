"""Data sets as tables for a terminal."""

from __future__ import annotations

from typing import cast

from rich.table import Table
from rich.text import Text

from gradserve.cli import formatting
from gradserve.cli.tables import facts_table, list_table, literal
from gradserve.types import Column, Count, Dataset, Datasets, Target

# The least width of a terminal that shows the column.
COLUMNS = {"ID": 0, "NAME": 0, "KIND": 70, "ROWS": 0, "CREATED": 80}
# More columns or classes than this are counted instead.
MOST_SHOWN = 40
MOST_NAMES = 8
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}


def datasets_table(datasets: Datasets, width: int) -> Table:
    """One line per data set, with as many columns as a terminal of this width has room for."""
    cells = (
        {
            "ID": dataset["id"],
            "NAME": dataset["name"] or formatting.UNKNOWN,
            "KIND": dataset["kind"],
            "ROWS": f"{dataset['rows']:,}",
            "CREATED": formatting.when(dataset["created_at"]),
        }
        for dataset in datasets
    )
    return list_table(COLUMNS, ("ROWS",), width, cells)


def dataset_table(dataset: Dataset) -> Table:
    """A data set as a whole, one line per fact."""
    rows: list[tuple[str, str | Text]] = [
        ("id", dataset["id"]),
        ("name", dataset["name"] or formatting.UNKNOWN),
        ("kind", dataset["kind"]),
        ("rows", f"{dataset['rows']:,}"),
    ]
    if dataset.get("delimiter") is not None:
        rows.append(("read as", dialect(dataset)))
    if dataset.get("ignored"):
        rows.append(("left out", ", ".join(dataset["ignored"] or ())))
    rows += [
        ("target", f"{dataset['target']['name']}: {values(dataset['target'])}"),
        ("created", formatting.when(dataset["created_at"])),
    ]
    return facts_table(rows)


def columns_table(dataset: Dataset) -> Table:
    """One line per column of inputs."""
    table = Table("COLUMN", "TYPE", "VALUES", box=None, pad_edge=False, header_style="bold")
    columns = dataset["columns"]
    for column in columns[:MOST_SHOWN]:
        table.add_row(*map(literal, (column["name"], column["type"], values(column))))
    if len(columns) > MOST_SHOWN:
        table.add_row(f"and {len(columns) - MOST_SHOWN:,} more")
    return table


def dialect(dataset: Dataset) -> str:
    """`names in the first row, semicolon between cells, decimal comma`."""
    names = "names in the first row" if dataset.get("header") else "no names"
    delimiter = DELIMITERS.get(dataset.get("delimiter") or "", "")
    sign = "comma" if dataset.get("decimal") == "," else "point"
    return f"{names}, {delimiter} between cells, decimal {sign}"


def values(column: Column | Target) -> str:
    """`1 to 7, mean 3.5`, or the names with the number of rows that have each."""
    # Only columns have categories, and only targets have classes.
    counted = cast(list[Count] | None, column.get("categories") or column.get("classes"))
    if counted and (column["type"] != "number" or len(counted) <= MOST_NAMES):
        shown = [f"{one['name']} ({one['count']:,})" for one in counted[:MOST_NAMES]]
        more = len(counted) - MOST_NAMES
        found = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    else:
        least, most = formatting.number(column.get("min")), formatting.number(column.get("max"))
        found = f"{least} to {most}, mean {formatting.number(column.get('mean'))}"
    return found + (f", {column['missing']:,} missing" if column["missing"] else "")
