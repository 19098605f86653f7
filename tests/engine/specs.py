"""Job specifications for tests, and a way to vary them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from engine.spec import JobSpec, problems

MOONS: dict[str, Any] = {
    "name": "moons",
    "dataset": {"kind": "moons", "n_samples": 100, "noise": 0.1, "seed": 1337},
    "model": {
        "layers": [
            {"units": 16, "activation": "relu"},
            {"units": 16, "activation": "relu"},
            {"units": 1, "activation": "linear"},
        ],
        "init": {"kind": "uniform", "seed": 1337},
    },
    "loss": {"kind": "max_margin", "reduction": "mean", "l2": 1e-4},
    "optimizer": {
        "kind": "sgd",
        "learning_rate": {"kind": "linear", "start": 1.0, "end": 0.1},
        "momentum": 0.0,
    },
    "training": {
        "steps": 100,
        "batch_size": None,
        "seed": 0,
        "zero_grad": True,
        "validation_fraction": 0.0,
    },
}
"""micrograd's demo."""

SMALL: dict[str, Any] = {
    "dataset": {"kind": "gauss", "n_samples": 12, "noise": 0.1, "seed": 3},
    "model": {
        "layers": [{"units": 4, "activation": "tanh"}, {"units": 1}],
        "init": {"kind": "xavier", "seed": 1},
    },
    "loss": {"kind": "binary_cross_entropy"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 20},
}
"""Trains in milliseconds."""


IRIS: dict[str, Any] = {
    "dataset": {"kind": "iris", "standardise": True},
    "model": {
        "layers": [{"units": 8, "activation": "tanh"}, {"units": 3}],
        "init": {"kind": "xavier", "seed": 3},
    },
    "loss": {"kind": "cross_entropy", "l2": 1e-3},
    "optimizer": {"learning_rate": 0.1, "momentum": 0.9},
    "training": {"steps": 300, "batch_size": 16, "seed": 3, "validation_fraction": 0.2},
}
"""Reaches 93 % of the validation rows."""

DIGITS: dict[str, Any] = {
    "dataset": {"kind": "digits", "standardise": True},
    "model": {
        "layers": [{"units": 64, "activation": "relu"}, {"units": 10}],
        "init": {"kind": "he", "seed": 1},
    },
    "loss": {"kind": "cross_entropy", "l2": 1e-3},
    "optimizer": {"learning_rate": {"kind": "cosine", "start": 0.1}, "momentum": 0.9},
    "training": {
        "steps": 1500,
        "batch_size": 32,
        "seed": 1,
        "validation_fraction": 0.2,
        "log_every": 50,
    },
}
"""Reaches 96 % of the validation rows; for the native executor."""

SPIRAL: dict[str, Any] = {
    "dataset": {"kind": "spiral", "n_samples": 400, "standardise": True},
    "model": {
        "layers": [
            {"units": 16, "activation": "tanh"},
            {"units": 16, "activation": "tanh"},
            {"units": 1},
        ],
        "init": {"kind": "uniform", "bias": "uniform", "seed": 0},
    },
    "loss": {"kind": "binary_cross_entropy", "l2": 1e-5},
    "optimizer": {"learning_rate": {"kind": "cosine", "start": 0.1}, "momentum": 0.9},
    "training": {
        "steps": 6000,
        "batch_size": 32,
        "validation_fraction": 0.2,
        "log_every": 100,
    },
}
"""Reaches 95 % of the validation rows; for the native executor."""


def vary(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with parts replaced; a part that is a dict is merged into the old one.

    `vary(SMALL, training={"steps": 5})` changes only the steps. A part with its own `kind`
    replaces the old part, because the fields of another kind would not fit.
    """
    changed = dict(base)
    for field, value in changes.items():
        merges = isinstance(value, dict) and "kind" not in value
        changed[field] = changed.get(field, {}) | value if merges else value
    return changed


def job(base: dict[str, Any] = SMALL, **changes: Any) -> JobSpec:
    return JobSpec.model_validate(vary(base, **changes))


def refusals(document: dict[str, Any]) -> dict[str, str]:
    """The pointer and the sentence of each reason for which a specification is refused."""
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(document)
    return dict(problems(caught.value))
