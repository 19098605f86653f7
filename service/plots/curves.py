"""Loss and score over the steps of a job."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from service.plots.axes import LARGEST, Scale, four, horizontal, shown, vertical, widened
from service.plots.svg import MARGIN, WIDTH, Picture, Point, polyline

LEFT, RIGHT = 66, WIDTH - MARGIN
LOSS = (84, 284)
SCORE = (322, 412)
HEIGHT = 482

Rows = Sequence[Mapping[str, Any]]


def draw(
    history: Rows,
    *,
    title: str,
    steps: int,
    loss_name: str,
    score_name: str,
    best_step: int | None,
) -> Picture:
    """The loss above the score; the axis of the loss is logarithmic where all losses are above 0.

    Args:
        history: logged steps in order, with the keys of the API's history; numbers may be None.
        steps: how many the job takes.
        loss_name: the kind of the loss, for its label.
        best_step: the logged step to be marked.
    """
    across = Scale(0.0, max(float(steps), 1.0), LEFT, RIGHT)
    validated = any(row["validation_loss"] is not None for row in history)
    best = next((row for row in history if row["step"] == best_step), None)
    picture = Picture(title, note(history, best, steps), HEIGHT)
    losses = numbers(history, "loss") + numbers(history, "validation_loss")
    panel(picture, history, across, LOSS, loss_scale(losses), f"loss ({loss_name})", "loss", best)
    scores = numbers(history, "accuracy") + numbers(history, "validation_accuracy")
    scale = score_scale(scores, score_name)
    panel(picture, history, across, SCORE, scale, score_name, "accuracy", best)
    horizontal(picture, across, SCORE[1], "")
    picture.text(RIGHT, SCORE[1] + 40, "step", anchor="end")
    legend(picture, validated)
    return picture


def note(history: Rows, best: Mapping[str, Any] | None, steps: int) -> str:
    if not history:
        return "no step is logged yet"
    last = history[-1]
    parts = [f"step {last['step'] + 1:,} of {steps:,}"]
    if is_number(last["loss"]):
        parts.append(f"loss {four(last['loss'])}")
    if best is not None and is_number(best["loss"]):
        which = "loss" if best["validation_loss"] is None else "validation_loss"
        parts.append(f"best {four(best[which])} at {best['step']:,}")
    return " · ".join(parts)


def numbers(history: Rows, name: str) -> list[float]:
    return [row[name] for row in history if is_number(row[name])]


def is_number(x: float | None) -> bool:
    return x is not None and math.isfinite(x)


def loss_scale(losses: list[float]) -> Scale:
    end, begin = LOSS
    low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
    if low > 0.0 and high > 2.0 * low:
        return Scale(low / 1.15, min(high, LARGEST) * 1.15, begin, end, log=True)
    return Scale(*widened(low, high), begin, end)


def score_scale(scores: list[float], name: str) -> Scale:
    end, begin = SCORE
    low = min(scores, default=0.0)
    if name == "accuracy":
        # Fine steps near 100 % are what one looks for.
        bottom = math.floor(10 * low) / 10 if low < 0.95 else 0.9
        return Scale(min(bottom, 0.9), 1.0, begin, end)
    # A start far below 0 would hide the rest.
    return Scale(max(-1.0, min(low, 0.0)), 1.0, begin, end)


def panel(
    picture: Picture,
    history: Rows,
    across: Scale,
    edges: tuple[float, float],
    up: Scale,
    label: str,
    name: str,
    best: Mapping[str, Any] | None,
) -> None:
    picture.text(LEFT, edges[0] - 9, label, bold=True)
    if name == "accuracy" and label == "accuracy":
        for y in up.ticks(3):
            picture.line((LEFT, up(y)), (RIGHT, up(y)), "grid")
            percent = f"{shown(round(100 * y, 6))} %"
            picture.text(LEFT - 8, up(y) + 4.5, percent, anchor="end", soft=True)
    else:
        vertical(picture, up, LEFT, RIGHT, 5 if name == "loss" else 3)
    picture.line((LEFT, edges[1]), (RIGHT, edges[1]), "axis")
    for field, kind, dash in ((name, "pos", ""), (f"validation_{name}", "neg", "6 4")):
        for run in runs(history, field, across, up):
            if len(run) == 1:
                picture.circle(*run[0], 2.5, f"{kind}-fill")
            else:
                picture.path(polyline(run), kind, width=2, dash=dash)
    if best is not None:
        validated = best[f"validation_{name}"] is not None
        y = best[f"validation_{name}" if validated else name]
        picture.line(
            (across(best["step"]), edges[0]), (across(best["step"]), edges[1]), "axis", dash="2 3"
        )
        if is_number(y):
            at = across(best["step"]), up(min(max(y, up.low), up.high))
            picture.circle(*at, 5, "neg-ring" if validated else "pos-ring", 2)


def runs(history: Rows, field: str, across: Scale, up: Scale) -> list[list[Point]]:
    """The points of a curve, parted where a number is missing."""
    found: list[list[Point]] = [[]]
    for row in history:
        y = row[field]
        if not is_number(y):
            found.append([])
        else:
            found[-1].append((across(row["step"]), up(min(max(y, up.low), up.high))))
    return [run for run in found if run]


def legend(picture: Picture, validated: bool) -> None:
    y = SCORE[1] + 40
    x: float = LEFT
    shown_curves = [("pos", "", "training")] + ([("neg", "6 4", "validation")] if validated else [])
    for name, dash, label in shown_curves:
        picture.line((x, y - 4.5), (x + 24, y - 4.5), name, width=2, dash=dash)
        picture.text(x + 31, y, label, soft=True)
        x += 31 + 8.2 * len(label) + 14
    picture.circle(x + 6, y - 4.5, 5, "neg-ring" if validated else "pos-ring", 2)
    picture.text(x + 18, y, "best", soft=True)
