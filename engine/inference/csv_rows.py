"""Rows as CSV text become cells."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.inference.cells import listed, target_of_text, value_of_text
from engine.inference.rows import Cells, Gatherer, InvalidRows, check_count
from engine.spec.base import MAX_ROWS
from engine.spec.tables import TableError
from engine.spec.tables.grid import read_grid
from engine.spec.tables.numbers import all_numbers


def read_csv(model: Preprocessing, text: str, place: str = "", most: int = MAX_ROWS) -> Cells:
    """Reads a table with names in any order, or without names in the order of the training.

    The first row holds names if one of its cells is the name of a column. The table may also hold
    the target, the columns that the training ignored, and an unnamed first column.

    Args:
        place: the field that holds the text, for pointers; "" for a body that is the text.
        most: more rows than this are refused.

    Raises:
        InvalidRows: the sentences name the lines and columns of the first ten mistakes.
    """
    where: list[str | int] = [place] if place else []
    try:
        grid = read_grid(text, header=False, least=1)
    except TableError as error:
        raise InvalidRows([("".join(f"/{part}" for part in where), str(error))]) from None
    known = {column.name for column in model.columns}
    names = grid.rows[0] if known & set(grid.rows[0]) else grid.names
    rows = grid.rows[names is grid.rows[0] :]
    lines = grid.lines[len(grid.rows) - len(rows) :]
    if not any(names):
        names = names_by_position(model, len(names))
    positions = positions_of(model, names, where)
    check_count(len(rows), place, most)
    decimal = grid.dialect.decimal
    quick = numbers_at_once(model, rows, positions, decimal) if model.target not in names else None
    if quick is not None:
        return Cells(quick, np.full(len(rows), np.nan))
    gatherer = Gatherer(model)
    target = names.index(model.target) if model.target in names else None
    if model.target in known:
        target = None
    for line, row in zip(lines, rows, strict=True):
        if gatherer.full:
            break
        values = [
            None if i is None else value_of_text(column, row[i], decimal)
            for column, i in zip(model.columns, positions, strict=True)
        ]
        found = None if target is None else target_of_text(model.output, row[target], decimal)
        columns = [*positions, target]
        prefixes = [f"line {line}, column {0 if i is None else i + 1}: " for i in columns]
        gatherer.add(values, found, [where] * len(columns), prefixes)
    return gatherer.gathered()


def numbers_at_once(
    model: Preprocessing, rows: list[list[str]], positions: list[int | None], decimal: str
) -> Array | None:
    """The cells, quickly, where all columns hold nothing but numbers."""
    found = []
    for column, i in zip(model.columns, positions, strict=True):
        numbers = None if i is None else all_numbers([row[i] for row in rows], decimal)
        if column.type != "number" or numbers is None:
            return None
        found.append(numbers)
    return np.array(found, dtype=np.float64).T


def names_by_position(model: Preprocessing, count: int) -> list[str]:
    """The names of the columns of a table that has none; it may hold the target."""
    names = [column.name for column in model.columns]
    if count == len(names) + 1:
        names.insert(model.target_position, model.target)
    if count != len(names):
        sentence = f"the rows have {count} cells, and the model has {len(names)} columns: "
        raise InvalidRows([("", sentence + listed(names))])
    return names


def positions_of(
    model: Preprocessing, names: list[str], where: list[str | int]
) -> list[int | None]:
    """The position of each column in the table; None where it lacks one that can be filled."""
    place = "".join(f"/{part}" for part in where)
    columns = [column.name for column in model.columns]
    unknown = [
        name
        for i, name in enumerate(names)
        if name not in (*columns, model.target, *model.ignored) and (name or i)
    ]
    if unknown:
        sentence = f"there is no column {listed(unknown)}; the columns are {listed(columns)}"
        raise InvalidRows([(place, sentence)])
    absent = [name for name in columns if name not in names]
    if absent and model.means is None:
        raise InvalidRows([(place, f"the table lacks the column {listed(absent)}")])
    return [names.index(name) if name in names else None for name in columns]
