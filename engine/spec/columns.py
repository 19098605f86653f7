"""A column of a table: its name, the type of its cells, and how many inputs it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Type = Literal["number", "boolean", "text"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of inputs as a person knows it.

    Attributes:
        type: `number`, `boolean` (0 or 1), or `text` (one of the categories).
        categories: the texts of a `text` column, in alphabetical order. Its cells are kept as
            positions in them, and become one input per category: 1 for the cell's, else 0.
    """

    name: str
    type: Type = "number"
    categories: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """How many numbers a cell of it becomes."""
        return len(self.categories) if self.type == "text" else 1


def numbered(count: int) -> tuple[Column, ...]:
    """Columns of numbers that nobody has named: x0, x1, …"""
    return tuple(Column(f"x{i}") for i in range(count))


def named(names: Sequence[str]) -> tuple[Column, ...]:
    """Columns of numbers with these names."""
    return tuple(map(Column, names))
