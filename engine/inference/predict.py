"""Asking a trained network about rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.inference.answers import answers
from engine.inference.csv_rows import read_csv
from engine.inference.rows import Cells, read_rows
from engine.networks.forward import LayerParameters, forward
from engine.spec import JobSpec
from engine.spec.base import MAX_ROWS
from engine.training.prepared import prepare


def predict(
    preprocessing: Preprocessing,
    layers: Sequence[LayerParameters],
    rows: Sequence[Any] | str,
    place: str = "rows",
    most: int = MAX_ROWS,
) -> list[dict[str, Any]]:
    """An answer per row, as `engine.inference.answers.answers` describes them.

    Args:
        preprocessing: what the model remembers of its data.
        layers: `engine.networks.forward.layers_of` or `layers_from` makes them.
        rows: lists in the order of the columns, objects by column name, or CSV text.
        place: the field that holds the rows, for pointers.
        most: more rows than this are refused.

    Raises:
        InvalidRows: with the places of the first ten mistakes.
    """
    cells = read(preprocessing, rows, place, most).cells
    return answers(preprocessing, outputs(preprocessing, layers, cells))


def read(
    preprocessing: Preprocessing,
    rows: Sequence[Any] | str,
    place: str = "rows",
    most: int = MAX_ROWS,
) -> Cells:
    """The cells and the targets of rows in any of the three forms; see `predict`."""
    if isinstance(rows, str):
        return read_csv(preprocessing, rows, place, most)
    return read_rows(preprocessing, rows, place, most)


def outputs(preprocessing: Preprocessing, layers: Sequence[LayerParameters], cells: Array) -> Array:
    """The outputs (rows × units) for cells (rows × columns)."""
    return forward(layers, preprocessing.inputs(cells))


def preprocessing_of(spec: JobSpec) -> Preprocessing:
    """The preprocessing of a job that did not store it, made again from its specification.

    Raises:
        InvalidData: the data set cannot be made.
    """
    return prepare(spec).preprocessing
