"""Neurons and links: how one row passes through a network that has too many values to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Array
from engine.autograd.drawing import shown
from engine.networks.forward import LayerParameters, forward
from service.plots.svg import MARGIN, WIDTH, Picture, clipped

MOST_NEURONS = 16
"""Neurons of a layer that are drawn; of more, those with the largest activations."""
MOST_LINKS = 400
BOX = (86, 26)


def draw(
    layers: Sequence[LayerParameters], inputs: Sequence[tuple[str, float]], *, title: str, note: str
) -> Picture:
    """The activations of each neuron, and the weights between them: blue positive, orange negative.

    `inputs` are names and numbers, as the first layer takes them.
    """
    names, row = [name for name, _ in inputs], np.array([x for _, x in inputs])
    values = [row, *(forward(layers[: i + 1], row[None])[0] for i in range(len(layers)))]
    chosen = [largest(numbers) for numbers in values]
    most = max(map(len, chosen))
    width = max(WIDTH, 2 * MARGIN + len(values) * 176 - 90)
    height = 116 + most * (BOX[1] + 10) + 20
    picture = Picture(title, note, height, width)
    step = (width - 2 * MARGIN - BOX[0]) / (len(values) - 1)
    places = [
        [
            (MARGIN + i * step, 112 + (most - len(one)) * (BOX[1] + 10) / 2 + k * (BOX[1] + 10))
            for k in range(len(one))
        ]
        for i, one in enumerate(chosen)
    ]
    for i, layer in enumerate(layers):
        links(picture, layer, chosen[i], chosen[i + 1], places[i], places[i + 1])
    for i, (numbers, one) in enumerate(zip(values, chosen, strict=True)):
        head(picture, places[i][0][0], i, layers, len(numbers), len(one))
        for k, (x, y) in zip(one, places[i], strict=True):
            picture.rect(x, y, *BOX, "box", 6)
            text = shown(float(numbers[k]))
            if i == 0:
                text = f"{clipped(names[k], 44, 11)} {text}"
            picture.text(
                x + BOX[0] / 2, y + 17, clipped(text, BOX[0], 11), size=11, anchor="middle"
            )
    return picture


def largest(numbers: Array) -> list[int]:
    """The positions of the neurons that are drawn, in their order."""
    if len(numbers) <= MOST_NEURONS:
        return list(range(len(numbers)))
    order = np.argsort(-np.abs(np.nan_to_num(numbers)), kind="stable")
    found: list[int] = np.sort(order[:MOST_NEURONS]).tolist()
    return found


def head(
    picture: Picture, x: float, i: int, layers: Sequence[LayerParameters], count: int, drawn: int
) -> None:
    label = f"{count} inputs" if i == 0 else f"{count} {layers[i - 1].activation}"
    picture.text(x + BOX[0] / 2, 84, label, anchor="middle", bold=True, size=12)
    if drawn < count:
        picture.text(x + BOX[0] / 2, 100, f"{drawn} shown", anchor="middle", soft=True, size=12)


def links(
    picture: Picture,
    layer: LayerParameters,
    before: list[int],
    after: list[int],
    places: list[tuple[float, float]],
    others: list[tuple[float, float]],
) -> None:
    """The links of the largest weights, as wide as these are large."""
    weights = layer.weights[np.ix_(after, before)]
    top = float(np.abs(weights).max()) or 1.0
    order = np.argsort(-np.abs(weights).ravel(), kind="stable")[:MOST_LINKS]
    for position in order[::-1].tolist():
        j, i = divmod(position, len(before))
        weight = float(weights[j, i])
        (x1, y1), (x2, y2) = places[i], others[j]
        x1, y1, y2 = x1 + BOX[0], y1 + BOX[1] / 2, y2 + BOX[1] / 2
        middle = (x2 - x1) / 2
        curve = f"M{x1:.1f} {y1:.1f}C{x1 + middle:.1f} {y1:.1f} "
        curve += f"{x2 - middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        name = "pos" if weight > 0 else "neg"
        picture.path(curve, name, width=0.3 + 2.7 * abs(weight) / top, opacity=0.55)
