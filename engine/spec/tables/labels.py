"""Targets: numbers, or the names of classes."""

from __future__ import annotations

from dataclasses import dataclass

from engine.spec.tables.errors import quoted, together
from engine.spec.tables.grid import Grid
from engine.spec.tables.numbers import ALWAYS_GAPS, GAPS, all_numbers, is_infinite, parse

FEW = 3
"""A label of fewer rows than this, beside classes of more than twice as many, may be a slip."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of a table.

    Attributes:
        y: one per row; where there are `names`, the position of the row's class in them.
        names: the classes, when not all targets are numbers: first the numbers by value, then
            the names in alphabetical order.
        not_a_number: where there are names, a sentence about the first target that is not a
            number.
        infinite: where some target is a number, or all are infinite, a sentence about the first
            infinite target, which cannot be the label of a class.
    """

    y: list[float]
    names: tuple[str, ...] | None = None
    not_a_number: str = ""
    infinite: str = ""


def missing_targets(grid: Grid, position: int) -> list[int]:
    """The rows without a target.

    An empty cell or one that says NaN is a missing target, not a class. Other signs of a missing
    target, such as NA, are one only where some target is a number.
    """
    cells = grid.column(position)
    some = any(parse(cell, grid.dialect.decimal) is not None for cell in set(cells))
    gaps = GAPS if some else ALWAYS_GAPS - {"+nan", "-nan"}
    return [i for i, cell in enumerate(cells) if cell.lower() in gaps]


def read_targets(grid: Grid, position: int) -> Targets:
    """The targets of rows that all have one."""
    cells = grid.column(position)
    numbers = all_numbers(cells, grid.dialect.decimal)
    if numbers is not None:
        return Targets(numbers)
    first = next(i for i, cell in enumerate(cells) if parse(cell, grid.dialect.decimal) is None)
    sentence = f"{grid.place(first, position)}: {quoted(cells[first])} is not a finite number"
    y, names = classes(cells, grid.dialect.decimal)
    return Targets(y, names, sentence, infinite_label(grid, position, cells))


def classes(cells: list[str], decimal: str = ".") -> tuple[list[float], tuple[str, ...]]:
    """The position of each cell's class, and the names of the classes.

    Numbers come first, by value, and other names after them in alphabetical order. Equal numbers
    are one class however they are written. Its name is the shortest spelling, the alphabetically
    first where several are equally short, so it does not depend on the order of the rows.
    """
    spellings: dict[float | str, set[str]] = {}
    for cell in set(cells):
        number = parse(cell, decimal)
        spellings.setdefault(cell if number is None else number, set()).add(cell)
    keys = sorted(spellings, key=lambda key: (isinstance(key, str), key))
    positions = {cell: float(i) for i, key in enumerate(keys) for cell in spellings[key]}
    names = tuple(min(spellings[key], key=lambda cell: (len(cell), cell)) for key in keys)
    return [positions[cell] for cell in cells], names


def infinite_label(grid: Grid, position: int, cells: list[str]) -> str:
    """A sentence about the first label such as `inf` or `1e400`, or nothing if it may stand.

    Among names and without any number, it may be the name of a class.
    """
    wrong = [i for i, cell in enumerate(cells) if is_infinite(cell)]
    some = any(parse(cell, grid.dialect.decimal) is not None for cell in set(cells))
    if not wrong or (len(wrong) < len(cells) and not some):
        return ""
    return (
        f"{grid.place(wrong[0], position)}: the label {quoted(cells[wrong[0]])} is not finite; "
        "give every class a finite number or a name"
    )


def rare_labels(cells: list[str], grid: Grid, position: int) -> str:
    """A sentence about the labels of very few rows, which may be mistyped; or nothing."""
    rows: dict[str, list[int]] = {}
    for i, cell in enumerate(cells):
        rows.setdefault(cell, []).append(i)
    usual = sorted(len(found) for found in rows.values())[len(rows) // 2]
    rare = [found for found in rows.values() if len(found) < min(FEW, usual / 2)]
    return together(
        (
            f"{grid.place(found[0], position)}: the label {quoted(cells[found[0]])} stands in "
            + ("this row alone" if len(found) == 1 else f"{len(found)} rows alone")
            for found in rare
        ),
        "",
    )
