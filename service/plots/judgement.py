"""How right a network is: the confusion of classes, and predictions against true values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.inference import Evaluation
from service.plots.axes import Scale, four, horizontal, vertical, widened
from service.plots.surface import spread
from service.plots.svg import MARGIN, WIDTH, Picture, band, clipped, length

MOST_NUMBERS = 20
"""Of more classes the cells are too small for numbers."""


def draw_confusion(evaluation: Evaluation, *, title: str, of: str) -> Picture:
    """Rows are true classes, columns predicted ones; a cell is as blue as its share of its row."""
    counts = evaluation.confusion or []
    names = [one.name for one in evaluation.classes]
    total = sum(map(sum, counts))
    score = "" if evaluation.score is None else f" · accuracy {four(100 * evaluation.score)} %"
    labels = max((length(name, 13) for name in names), default=0)
    left = min(60 + labels, 190)
    size = (WIDTH - MARGIN - left) / max(len(names), 1)
    top = 72.0
    turned = any(length(name, 13) > size - 4 for name in names)
    foot = min(labels, 120) + 50 if turned else 60
    picture = Picture(title, f"{total:,} {of} rows{score}", top + size * len(names) + foot)
    bottom = top + size * len(names)
    picture.text(16, (top + bottom) / 2, "true", anchor="middle", soft=True, turned=True)
    middle = left + size * len(names) / 2
    picture.text(middle, picture.height - 14, "predicted", anchor="middle", soft=True)
    for i, row in enumerate(counts):
        middle = top + (i + 0.5) * size
        if size >= 14:
            name = clipped(names[i], left - MARGIN - 12, 13)
            picture.text(left - 10, middle + 4.5, name, anchor="end")
        for j, count in enumerate(row):
            cell(picture, left + j * size, top + i * size, size, count, sum(row), len(names))
    for j, name in enumerate(names if size >= 14 else []):
        x = left + (j + 0.5) * size
        if turned:
            picture.text(x + 4.5, bottom + 10, clipped(name, 120, 13), anchor="end", turned=True)
        else:
            picture.text(x, bottom + 22, name, anchor="middle")
    return picture


def cell(
    picture: Picture, x: float, y: float, size: float, count: int, row: int, classes: int
) -> None:
    shade = band(count / row) if row else 0
    if count and shade == 0:
        shade = 1  # seen, however few
    gap = 2 if size > 12 else 0.5
    picture.rect(x + gap / 2, y + gap / 2, size - gap, size - gap, f"s{shade}", min(6, size / 8))
    if classes <= MOST_NUMBERS:
        text = f"{count:,}" if count < 100_000 else four(count)
        font = min(17.0, size / 2.2, (size - 4) / (0.62 * len(text)))
        picture.text(
            x + size / 2,
            y + size / 2 + font * 0.36,
            text,
            size=font,
            anchor="middle",
            name=f"on-s{shade}" if count else "",
            soft=count == 0,
        )


def draw_predicted(evaluation: Evaluation, *, title: str, of: str, target: str) -> Picture:
    """A dot per row: its prediction above its true value; a right one lies on the diagonal."""
    left, right, top, bottom = 76, WIDTH - MARGIN, 72, 512
    targets = np.array(evaluation.targets, dtype=np.float64)
    found = np.array([answer["value"] for answer in evaluation.answers], dtype=np.float64)
    known = np.isfinite(found)
    both = np.concatenate([targets, found[known]])
    low, high = widened(float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
    across, up = Scale(low, high, left, right), Scale(low, high, bottom, top)
    score = "" if evaluation.score is None else f" · R² {four(evaluation.score)}"
    picture = Picture(title, f"{len(targets):,} {of} rows{score}", bottom + 56)
    vertical(picture, up, left, right)
    horizontal(picture, across, bottom, f"true {target}")
    picture.text(16, (top + bottom) / 2, f"predicted {target}", anchor="middle", turned=True)
    picture.line((left, bottom), (right, top), "axis", width=1.5, dash="6 4")
    positions: Sequence[int] = np.flatnonzero(known).tolist()
    for i in spread(len(positions)):
        row = positions[i]
        at = across(float(targets[row])), up(float(found[row]))
        picture.circle(*at, 4, "pos-dot", 1)
    return picture
