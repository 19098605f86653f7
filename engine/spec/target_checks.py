"""Whether labels, loss and output units fit each other."""

from __future__ import annotations

from engine.spec.base import at
from engine.spec.datasets import Csv, DatasetSpec, Inline
from engine.spec.loss import LossSpec
from engine.spec.model import ModelSpec

SAME = "labels are all the same; two classes are needed"


def check_targets(dataset: DatasetSpec, model: ModelSpec, loss: LossSpec) -> None:
    """Raises a located validation error where they do not fit."""
    last = ("model", "layers", len(model.layers) - 1, "units")
    outputs = model.layers[-1].units
    one_output = loss.outputs(None) == loss.outputs(3)
    if one_output and outputs != 1:
        raise at(last, f"{loss.kind} needs 1 output unit, not {outputs}")
    classes = dataset.classes()
    if not loss.CLASSIFIES:
        if isinstance(dataset, Csv) and classes is not None:
            reason = dataset.table.not_a_number
            raise at(("dataset", "target"), f"{loss.kind} needs targets that are numbers; {reason}")
        return
    if dataset.standardise_targets:
        raise at(("dataset", "standardise_targets"), f"{loss.kind} needs labels as they are")
    if isinstance(dataset, Csv) and dataset.table.infinite:
        raise at(("dataset", "text"), dataset.table.infinite)
    if isinstance(dataset, Inline):
        check_labels(dataset.y, loss, outputs, ("dataset", "y"))
    elif isinstance(dataset, Csv) and classes is None:
        check_labels(dataset.table.y, loss, outputs, ("dataset", "text"))
    elif classes is None:
        sentence = f"{loss.kind} needs classes, but the targets of {dataset.kind} are numbers"
        raise at(("loss", "kind"), sentence)
    elif classes < 2:
        raise at(("dataset", "text"), SAME)
    elif one_output and classes != 2:
        raise at(("loss", "kind"), f"{loss.kind} needs 2 classes, {dataset.kind} has {classes}")
    elif not one_output and outputs != classes:
        raise at(last, f"{dataset.kind} has {classes} classes and needs {classes} output units")


def check_labels(labels: list[float], loss: LossSpec, outputs: int, place: tuple[str, str]) -> None:
    """Raises where the loss cannot read a numeric label."""
    allowed, sentence = loss.allowed_labels(outputs)
    for i, label in enumerate(labels):
        if label not in allowed:
            where = (*place, i) if place == ("dataset", "y") else place
            raise at(where, f"row {i} has label {label:g}, but {sentence}")
    found = set(labels)
    if {-1.0, 0.0} <= found:
        raise at(place, "labels mix 0 with -1; use {0, 1} or {-1, 1}")
    if len(found) < 2:
        raise at(place, SAME)
