"""A sensible first network for a data set: nothing to choose, and said in one sentence."""

from __future__ import annotations

from typing import Any

from gradserve.types import Dataset

UNITS = 16
STEPS = 1_000
# Fewer rows than this are too few to keep some of them for validation.
ROWS_TO_VALIDATE = 20
# Whole numbers of more values than this, or of fewer rows each, are taken for numbers.
MOST_CLASSES = 20
ROWS_PER_CLASS = 5


def first_job(dataset: Dataset) -> tuple[dict[str, Any], str]:
    """A job that trains a network on the data set, and a sentence that says which one."""
    classes = class_names(dataset)
    kept = dataset["rows"] >= ROWS_TO_VALIDATE
    spec = {
        "name": (dataset["name"] or dataset["id"])[:200],
        "dataset": {
            "kind": "stored",
            "id": dataset["id"],
            "standardise": True,
            "standardise_targets": not classes,
        },
        "model": {
            "layers": [
                {"units": UNITS, "activation": "tanh"},
                {"units": UNITS, "activation": "tanh"},
                {"units": len(classes) or 1, "activation": "linear"},
            ],
            "init": {"kind": "xavier"},
        },
        "loss": {"kind": "cross_entropy" if classes else "mse", "l2": 1e-3},
        "optimizer": {
            "learning_rate": {"kind": "cosine", "start": 0.05, "end": 0.0005},
            "momentum": 0.9,
        },
        "training": {
            "steps": STEPS,
            "batch_size": 32,
            "validation_fraction": 0.2 if kept else 0.0,
            "keep": "best",
            "log_every": 5,
        },
    }
    target = dataset["target"]["name"]
    shown = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
    what = f"{len(classes)} classes of {target} ({shown})" if classes else f"{target} as a number"
    sentence = (
        f"a first network predicts {what}: two layers of {UNITS} tanh units, "
        f"{spec['loss']['kind']}, {STEPS:,} steps"  # type: ignore[index]
        + (", a fifth of the rows kept for validation" if kept else "")
    )
    return spec, sentence


def class_names(dataset: Dataset) -> list[str]:
    """The classes of the target; empty where it is rather a number to come close to."""
    target = dataset["target"]
    found = target.get("classes") or []
    named = target["type"] == "class"
    few = len(found) <= min(MOST_CLASSES, dataset["rows"] // ROWS_PER_CLASS)
    return [one["name"] for one in found] if len(found) > 1 and (named or few) else []
