"""What a network answers over the plane of two columns, or along one, with the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from contourpy import FillType, contour_generator

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.inference import Cells
from engine.inference.answers import positions, values
from engine.networks.forward import LayerParameters
from engine.networks.predict import outputs
from service.plots.axes import Scale, four, horizontal, shown, vertical, widened
from service.plots.svg import (
    BANDS,
    COLOURS,
    MARGIN,
    WIDTH,
    Picture,
    band,
    clipped,
    closed,
    length,
    polyline,
)

LEFT, RIGHT = 66, WIDTH - MARGIN
TOP, BOTTOM = 72, 462
GRID = 120
"""Points along each side of the plane that are asked."""
BLOCK = 1_024
"""Points that are asked at once, so that wide layers need little memory."""
MOST_POINTS = 600
"""Rows that are drawn; of more, evenly spread ones are taken."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a job: those that were trained on, and those kept for validation."""

    training: Cells
    validation: Cells


def draw(
    preprocessing: Preprocessing,
    layers: Sequence[LayerParameters],
    rows: Rows,
    *,
    title: str,
    x: int,
    y: int | None,
) -> Picture:
    """The answers over two columns, or those of a regression along one.

    Args:
        x: the position of the column across, which holds numbers or booleans.
        y: that of the column upwards; None in a picture along one column.

    Every other column stands at its mean over the training rows, or if it holds texts or booleans
    at the commonest value.
    """
    picture = Picture(title, note(preprocessing, rows, y), BOTTOM + 86)
    cells = np.vstack([rows.training.cells, rows.validation.cells])
    across = axis(cells[:, x], LEFT, RIGHT)
    ask = asking(preprocessing, layers, typical(preprocessing, rows.training.cells))
    if y is None:
        along(picture, preprocessing, ask, rows, x, across)
    else:
        plane(picture, preprocessing, ask, rows, (x, y), (across, axis(cells[:, y], BOTTOM, TOP)))
    return picture


def note(preprocessing: Preprocessing, rows: Rows, y: int | None) -> str:
    parts = []
    if len(rows.validation.cells) and preprocessing.output.classes is not None:
        parts.append("rings: validation rows")
    if len(preprocessing.columns) > (1 if y is None else 2):
        parts.append("others at mean or commonest value")
    return " · ".join(parts)


def axis(numbers: Array, begin: float, end: float) -> Scale:
    known = numbers[np.isfinite(numbers)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return Scale(*widened(low, high, 0.08), begin, end)


def typical(preprocessing: Preprocessing, cells: Array) -> Array:
    """One row: means of numbers, and the commonest of texts and booleans."""
    found = np.zeros(len(preprocessing.columns))
    for i, column in enumerate(preprocessing.columns):
        known = cells[~np.isnan(cells[:, i]), i]
        if column.type == "number":
            found[i] = known.mean() if len(known) else 0.0
        else:
            kinds, counts = np.unique(known, return_counts=True)
            found[i] = kinds[counts.argmax()] if len(kinds) else 0.0
    return found


Ask = Callable[[dict[int, Array]], Array]


def asking(preprocessing: Preprocessing, layers: Sequence[LayerParameters], row: Array) -> Ask:
    """A function from values per column to outputs (rows × units), the rest being as in `row`."""
    document = {
        "layers": [
            {"weights": one.weights, "biases": one.biases, "activation": one.activation}
            for one in layers
        ]
    }

    def ask(columns: dict[int, Array]) -> Array:
        blocks = []
        for start in range(0, len(next(iter(columns.values()))), BLOCK):
            some = {i: numbers[start : start + BLOCK] for i, numbers in columns.items()}
            cells = np.tile(row, (len(next(iter(some.values()))), 1))
            for i, numbers in some.items():
                cells[:, i] = numbers
            with np.errstate(over="ignore", invalid="ignore"):
                blocks.append(outputs(document, preprocessing.inputs(cells)))
        return np.vstack(blocks)

    return ask


def along(
    picture: Picture, preprocessing: Preprocessing, ask: Ask, rows: Rows, x: int, across: Scale
) -> None:
    """A regression of one column: the curve of answers through the data."""
    at = np.linspace(across.low, across.high, 400)
    curve = values(preprocessing, ask({x: at}))
    targets = np.concatenate([rows.training.targets, rows.validation.targets, curve])
    up = axis(targets, BOTTOM, TOP)
    vertical(picture, up, LEFT, RIGHT)
    horizontal(picture, across, BOTTOM, preprocessing.columns[x].name)
    picture.text(16, (TOP + BOTTOM) / 2, preprocessing.target, anchor="middle", turned=True)
    for group, kind in ((rows.training, "dot"), (rows.validation, "ring")):
        for i in spread(len(group.cells)):
            place = across(float(group.cells[i, x])), up(float(group.targets[i]))
            if np.isfinite(place).all():
                picture.circle(*place, 3.5, f"neg-{kind}", 1.5)
    places = [(across(a), up(b)) for a, b in zip(at.tolist(), curve.tolist(), strict=True)]
    picture.path(polyline(p for p in places if np.isfinite(p).all()), "pos", width=2.5)
    entries = [("neg-dot", "training")] + [("neg-ring", "validation")] * bool(
        len(rows.validation.cells)
    )
    legend(picture, entries)


def plane(
    picture: Picture,
    preprocessing: Preprocessing,
    ask: Ask,
    rows: Rows,
    columns: tuple[int, int],
    scales: tuple[Scale, Scale],
) -> None:
    x, y = columns
    across, up = scales
    a = np.linspace(across.low, across.high, GRID)
    b = np.linspace(up.low, up.high, GRID)
    grid_a, grid_b = np.meshgrid(a, b)
    found = ask({x: grid_a.ravel(), y: grid_b.ravel()})
    field = Field(picture, across, up, a, b)
    names = preprocessing.output.classes
    if names is not None and len(names) > 2:
        colours = regions(field, preprocessing, found, len(names))
        entries = [(f"{colour}-dot", name) for colour, name in zip(colours, names, strict=True)]
    elif names is not None:
        colours = ["neg", "pos"]
        scores(field, preprocessing, found[:, 0])
        entries = [(f"{colour}-dot", name) for colour, name in zip(colours, names, strict=True)]
    else:
        targets = np.concatenate([rows.training.targets, rows.validation.targets])
        low, high = float(targets.min()), float(targets.max())
        heights(field, values(preprocessing, found), low, high)
        entries = []
    points(picture, preprocessing, rows, columns, scales)
    horizontal(picture, across, BOTTOM, preprocessing.columns[x].name)
    for tick in up.ticks(6):
        picture.text(LEFT - 8, up(tick) + 4.5, shown(tick), anchor="end", soft=True)
    name = preprocessing.columns[y].name
    picture.text(16, (TOP + BOTTOM) / 2, name, anchor="middle", turned=True)
    legend(picture, entries)


@dataclass(frozen=True, slots=True)
class Field:
    """The plane on the picture, and the places along its sides that were asked."""

    picture: Picture
    across: Scale
    up: Scale
    a: Array
    b: Array

    def above(self, numbers: Array, level: float, name: str, opacity: float = 1) -> None:
        """Fills where the numbers (one per point of the plane) are above a level."""
        z = np.nan_to_num(numbers.reshape(len(self.b), len(self.a)), posinf=1e300, neginf=-1e300)
        found = contour_generator(self.a, self.b, z, fill_type=FillType.OuterOffset).filled(
            level, np.inf
        )
        rings = [
            [(self.across(p), self.up(q)) for p, q in polygon[begin:end].tolist()]
            for polygon, offsets in zip(*found, strict=True)
            for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        ]
        if rings:
            self.picture.path(closed(rings), name, opacity=opacity)

    def edge(self, numbers: Array, level: float) -> None:
        """Draws the line on which the numbers have the level."""
        z = np.nan_to_num(numbers.reshape(len(self.b), len(self.a)), posinf=1e300, neginf=-1e300)
        lines = contour_generator(self.a, self.b, z).lines(level)
        for line in lines:
            places = [(self.across(p), self.up(q)) for p, q in np.asarray(line).tolist()]
            self.picture.path(polyline(places), "ink", width=1.8)

    def ground(self, name: str) -> None:
        self.picture.rect(LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP, name)


def scores(field: Field, preprocessing: Preprocessing, numbers: Array) -> None:
    """Two classes: orange below 0 and blue above, and the line between."""
    if preprocessing.output.kind == "sigmoid":
        limit, text = 4.0, "probability"
        ends = ("2 %", "98 %")
    else:
        known = np.abs(numbers[np.isfinite(numbers)])
        # Without the percentile a few far corners would use up most of the colours.
        limit = max(1.0, float(np.round(np.percentile(known, 80)))) if len(known) else 1.0
        text, ends = "score", (f"−{four(limit)}", four(limit))
    field.ground("d0")
    for i in range(1, BANDS):
        field.above(numbers, limit * (2 * i - BANDS) / BANDS, f"d{i}")
    field.edge(numbers, 0.0)
    scale_bar(field.picture, "d", text, *ends)


def heights(field: Field, numbers: Array, low: float, high: float) -> None:
    """A regression: the more, the bluer."""
    field.ground("s0")
    for i in range(1, BANDS):
        field.above(numbers, low + (high - low) * i / BANDS, f"s{i}")
    scale_bar(field.picture, "s", "", four(low), four(high))


def regions(field: Field, preprocessing: Preprocessing, found: Array, count: int) -> list[str]:
    """Several classes: a colour where each is the answer; returns the colours."""
    colours = [f"c{i % COLOURS}" for i in range(count)]
    field.ground("panel")
    answer = positions(preprocessing, found)
    for i, colour in enumerate(colours):
        if not (answer == i).any():
            continue
        others = np.delete(found, i, axis=1).max(axis=1)
        field.above(found[:, i] - others, 0.0, colour, opacity=0.35)
        field.edge(found[:, i] - others, 0.0)
    return colours


def points(
    picture: Picture,
    preprocessing: Preprocessing,
    rows: Rows,
    columns: tuple[int, int],
    scales: tuple[Scale, Scale],
) -> None:
    names = preprocessing.output.classes
    targets = np.concatenate([rows.training.targets, rows.validation.targets])
    low, high = float(targets.min()), float(targets.max())
    for group, kind in ((rows.training, "dot"), (rows.validation, "ring")):
        for i in spread(len(group.cells)):
            place = group.cells[i, list(columns)]
            if not np.isfinite(place).all():
                continue
            target = float(group.targets[i])
            at = scales[0](float(place[0])), scales[1](float(place[1]))
            if names is None:
                part = (target - low) / (high - low) if high > low else 0.5
                picture.circle(*at, 4, f"s{band(part)} ink", 1)
            elif len(names) == 2:
                picture.circle(*at, 4.5, f"{'pos' if target else 'neg'}-{kind}", 1.5)
            else:
                picture.circle(*at, 4.5, f"c{int(target) % COLOURS}-{kind}", 1.5)


def spread(count: int) -> list[int]:
    """At most MOST_POINTS positions among `count`."""
    if count <= MOST_POINTS:
        return list(range(count))
    found: list[int] = np.linspace(0, count - 1, MOST_POINTS).astype(int).tolist()
    return found


def legend(picture: Picture, entries: list[tuple[str, str]]) -> None:
    """Dots with their names below the picture, as many as there is room for."""
    x, y = float(LEFT), BOTTOM + 66
    end = RIGHT - (190 if len(entries) == 2 else 20)
    for name, label in entries:
        text = clipped(label, max(60.0, (end - LEFT) / len(entries) - 30), 13)
        if x + 30 + length(text, 13) > end + 20:
            picture.text(x, y, "…", soft=True)
            break
        picture.circle(x + 5, y - 4.5, 5, name, 1.5)
        picture.text(x + 16, y, text, soft=True)
        x += 32 + length(text, 13)


def scale_bar(picture: Picture, shade: str, label: str, low: str, high: str) -> None:
    """The colours of a scale, with the numbers at its ends, at the lower right."""
    y, wide = BOTTOM + 57, 8
    end = RIGHT - 8 * len(high) - 6
    begin = end - BANDS * wide
    for i in range(BANDS):
        picture.rect(begin + i * wide, y, wide, 10, f"{shade}{i}")
    picture.text(RIGHT, y + 9, high, anchor="end", soft=True)
    picture.text(begin - 6, y + 9, " ".join(filter(None, (label, low))), anchor="end", soft=True)
