"""Inputs from cells: one per category of a text, and the features of a specification.

Powers and products are multiplied from left to right, and sines are those of the C library, so a
row becomes the same numbers to the bit alone, among others, and in plain Python.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Array
from engine.autograd import formulas
from engine.spec.columns import Column
from engine.spec.features import Cell, Constant, Power, Product, Term, Wave


def encode(cells: Array, columns: Sequence[Column]) -> Array:
    """The inputs (rows × inputs) of cells (rows × columns); the gap of a text is NaN in all."""
    if all(column.type != "text" for column in columns):
        return cells
    return np.hstack([encode_column(cells[:, i], column) for i, column in enumerate(columns)])


def encode_column(cells: Array, column: Column) -> Array:
    """Rows × inputs of one column."""
    if column.type != "text":
        return cells[:, None]
    same = cells[:, None] == np.arange(len(column.categories))
    found: Array = same.astype(np.float64)
    found[np.isnan(cells)] = np.nan
    return found


def evaluate(terms: Sequence[Term], encoded: Array, columns: Sequence[Column]) -> Array:
    """The features (rows × inputs) of encoded cells, in the order of the terms."""
    starts = np.concatenate([[0], np.cumsum([column.inputs for column in columns])])
    blocks = []
    with np.errstate(over="ignore", invalid="ignore"):
        for term in terms:
            if isinstance(term, Cell):
                blocks.append(encoded[:, starts[term.column] : starts[term.column + 1]])
            else:
                blocks.append(numbers(term, encoded, starts)[:, None])
    return np.ascontiguousarray(np.hstack(blocks))


def numbers(term: Term, encoded: Array, starts: Array) -> Array:
    """One number per row."""
    match term:
        case Cell(column):
            return encoded[:, int(starts[column])]
        case Constant(value):
            return np.full(len(encoded), value)
        case Power(base, exponent):
            return multiplied([numbers(base, encoded, starts)] * exponent)
        case Product(factors):
            return multiplied([numbers(factor, encoded, starts) for factor in factors])
        case Wave(function, of):
            wave = formulas.sin if function == "sin" else formulas.cos
            return np.array([wave(x) for x in numbers(of, encoded, starts).tolist()])


def multiplied(factors: Sequence[Array]) -> Array:
    found = factors[0]
    for factor in factors[1:]:
        found = found * factor
    return found
