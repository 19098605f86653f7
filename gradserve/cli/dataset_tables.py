"""Data sets as tables for a terminal."""

from __future__ import annotations

from typing import cast

from rich.table import Table
from rich.text import Text

from gradserve.cli import formatting
from gradserve.printable import printable
from gradserve.types import Column, Count, Dataset, Datasets, Target

# The least width of a terminal that shows the column.
COLUMNS = {"ID": 0, "NAME": 0, "KIND": 70, "ROWS": 0, "CREATED": 80}
# More columns or classes than this are counted instead.
MOST_SHOWN = 40
MOST_NAMES = 8
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}


def datasets_table(datasets: Datasets, width: int) -> Table:
    """One line per data set, with as many columns as a terminal of this width has room for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [title for title, from_width in COLUMNS.items() if width >= from_width]
    for title in shown:
        table.add_column(
            title,
            justify="right" if title == "ROWS" else "left",
            no_wrap=title != "NAME",
            overflow="fold",
        )
    for dataset in datasets:
        cells = {
            "ID": dataset["id"],
            "NAME": dataset["name"] or formatting.UNKNOWN,
            "KIND": dataset["kind"],
            "ROWS": f"{dataset['rows']:,}",
            "CREATED": formatting.when(dataset["created_at"]),
        }
        table.add_row(*(text(cells[title]) for title in shown))
    return table


def dataset_table(dataset: Dataset) -> Table:
    """A data set as a whole, one line per fact."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = [
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
    for title, value in rows:
        table.add_row(title, text(value))
    return table


def columns_table(dataset: Dataset) -> Table:
    """One line per column of inputs."""
    table = Table("COLUMN", "TYPE", "VALUES", box=None, pad_edge=False, header_style="bold")
    columns = dataset["columns"]
    for column in columns[:MOST_SHOWN]:
        table.add_row(*map(text, (column["name"], column["type"], values(column))))
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


def text(cell: str) -> Text:
    """The cell as it is: rich would read square brackets in a plain string as markup."""
    return Text(printable(cell))
