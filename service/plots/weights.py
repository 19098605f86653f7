"""The weights of each layer as a heat map: blue is positive, orange negative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Array
from engine.networks.forward import LayerParameters
from service.plots.axes import four
from service.plots.svg import BANDS, MARGIN, WIDTH, Picture, band, clipped, length

MOST_CELLS = 96
"""Cells along a side; of a larger matrix each cell is the mean of a block."""
LARGEST_CELL = 30


def draw(layers: Sequence[LayerParameters], inputs: Sequence[str], *, title: str) -> Picture:
    """A matrix per layer, a row per unit and a column per input, and the biases in a last column.

    `inputs` are the names of the inputs of the first layer.
    """
    blocks = [np.column_stack([layer.weights, layer.biases]) for layer in layers]
    known = np.concatenate([np.abs(block[np.isfinite(block)]) for block in blocks])
    limit = float(np.percentile(known, 98)) or 1.0
    count = sum(block.size for block in blocks)
    note = f"{count:,} parameters · ±{four(limit)} or more is the full colour"
    left, room = MARGIN + 26.0, WIDTH - 2 * MARGIN - 26.0
    plans = [Plan(layer, i, room) for i, layer in enumerate(layers)]
    labels = input_labels(inputs, plans[0].cell)
    foot = max((length(name, 12) for name in labels), default=0.0)
    height = 84 + sum(plan.height + 62 for plan in plans) + foot
    picture = Picture(title, note, height)
    bar(picture, limit)
    top = 92.0
    for i, plan in enumerate(plans):
        picture.text(MARGIN, top, plan.label, bold=True)
        picture.text(MARGIN + length(plan.label, 13) + 14, top, plan.remark, soft=True)
        plan.draw(picture, left, top + 12, limit)
        top += plan.height + 62
        if i == 0 and labels:
            for j, name in enumerate(labels):
                x = left + (j + 0.5) * plan.cell + 4
                picture.text(x, top - 44, name, size=12, anchor="end", turned=True, soft=True)
            top += foot
    return picture


class Plan:
    """How large the matrix of a layer is drawn."""

    def __init__(self, layer: LayerParameters, number: int, room: float) -> None:
        self.weights = blocks_of(layer.weights)
        self.biases = blocks_of(layer.biases[:, None])
        units, inputs = layer.weights.shape
        rows, columns = self.weights.shape
        self.cell = min(LARGEST_CELL, (room - 10) / (columns + 1))
        self.height = rows * self.cell
        self.label = f"layer {number + 1}"
        self.remark = f"{inputs:,} inputs → {units:,} {layer.activation}, biases at the right"
        if (rows, columns) != (units, inputs):
            self.remark += "; cells are means of blocks"

    def draw(self, picture: Picture, left: float, top: float, limit: float) -> None:
        gap = 1.0 if self.cell > 8 else 0.0
        self.matrix(picture, self.weights, left, top, limit, gap)
        right = left + self.weights.shape[1] * self.cell + 8
        self.matrix(picture, self.biases, right, top, limit, gap)

    def matrix(
        self, picture: Picture, numbers: Array, left: float, top: float, limit: float, gap: float
    ) -> None:
        """Cells of one shade are one path: a matrix may have thousands."""
        shades: dict[int, list[str]] = {}
        for i, row in enumerate(numbers.tolist()):
            for j, x in enumerate(row):
                shade = band(0.5 + 0.5 * max(-1.0, min(1.0, x / limit)))
                place = f"M{left + j * self.cell:.1f} {top + i * self.cell:.1f}"
                side = f"{self.cell - gap:.1f}"
                shades.setdefault(shade, []).append(f"{place}h{side}v{side}h-{side}z")
        for shade, paths in sorted(shades.items()):
            picture.path("".join(paths), f"d{shade}")


def blocks_of(numbers: Array) -> Array:
    """The matrix, made of means where a side has more than MOST_CELLS."""
    for axis in (0, 1):
        count = numbers.shape[axis]
        if count > MOST_CELLS:
            starts = np.linspace(0, count, MOST_CELLS + 1).astype(int)
            sizes = np.diff(starts)
            sums = np.add.reduceat(numbers, starts[:-1], axis=axis)
            numbers = sums / (sizes[:, None] if axis == 0 else sizes[None, :])
    return numbers


def input_labels(inputs: Sequence[str], cell: float) -> list[str]:
    """The names below the first matrix; none where there is no room for them."""
    if cell < 13 or len(inputs) > MOST_CELLS:
        return []
    return [clipped(name, 150, 12) for name in inputs]


def bar(picture: Picture, limit: float) -> None:
    """The colours, at the upper right."""
    wide = 8
    right = WIDTH - MARGIN - length(four(limit), 13) - 6
    begin = right - BANDS * wide
    for i in range(BANDS):
        picture.rect(begin + i * wide, 66, wide, 10, f"d{i}")
    picture.text(WIDTH - MARGIN, 75.5, four(limit), anchor="end", soft=True)
    picture.text(begin - 6, 75.5, f"−{four(limit)}", anchor="end", soft=True)
