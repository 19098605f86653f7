"""Outputs of a network become answers: numbers in the target's unit, or classes by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.arrays import Array
from engine.autograd import formulas
from engine.data.preprocessing import Preprocessing
from engine.spec.loss import largest


def positions(model: Preprocessing, outputs: Array) -> Array:
    """The position of each row's class, from outputs (rows × units), as training scores them."""
    if model.output.kind == "softmax":
        return largest(outputs)
    found: Array = (outputs[:, 0] > 0.0).astype(np.float64)
    return found


def values(model: Preprocessing, outputs: Array) -> Array:
    """The predictions of a regression in the target's unit, one per row."""
    scaling = model.scaling
    found: Array = outputs[:, 0] * scaling.target_scale + scaling.target_mean
    return found


def probabilities(model: Preprocessing, outputs: Array) -> list[list[float]]:
    """The probability of each class for each row."""
    if model.output.kind == "sigmoid":
        logits = outputs[:, 0].tolist()
        return [[formulas.sigmoid(-logit), formulas.sigmoid(logit)] for logit in logits]
    return list(map(softmax, outputs.tolist()))


def softmax(logits: list[float]) -> list[float]:
    """With the bits of `engine.softmax`."""
    top = max(logits)
    shifted = [logit - top for logit in logits]
    if not all(map(math.isfinite, shifted)):
        return [math.nan] * len(logits)
    total = formulas.log_sum_exp(shifted)
    return [formulas.exp(x - total) for x in shifted]


def answers(model: Preprocessing, outputs: Array) -> list[dict[str, Any]]:
    """One object per row, as JSON.

    - A regression: `{"value": v}` in the target's unit.
    - `max_margin`: `{"class": name, "score": s}`; above 0 it is the second class.
    - Otherwise `{"class": name, "probabilities": {name: p, …}}`.

    Everything in it is None for a row whose outputs are not finite numbers.
    """
    classes = model.output.classes
    if classes is None:
        found = values(model, outputs).tolist()
        return [{"value": v if math.isfinite(v) else None} for v in found]
    chosen: list[str | None] = [classes[int(i)] for i in positions(model, outputs).tolist()]
    for row in np.flatnonzero(~np.isfinite(outputs).all(axis=1)).tolist():
        chosen[row] = None
    if model.output.kind == "score":
        scores = outputs[:, 0].tolist()
        return [
            {"class": name, "score": None if name is None else score}
            for name, score in zip(chosen, scores, strict=True)
        ]
    return [
        {
            "class": name,
            "probabilities": None if name is None else dict(zip(classes, p, strict=True)),
        }
        for name, p in zip(chosen, probabilities(model, outputs), strict=True)
    ]
