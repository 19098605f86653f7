"""Whether labels, loss and output units fit each other, and which label is which class."""

from __future__ import annotations

from collections.abc import Sequence

from engine.spec.base import at
from engine.spec.datasets import DatasetSpec
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
    targets = dataset.table.targets if dataset.table else None
    if not loss.CLASSIFIES:
        if targets is not None and classes is not None:
            sentence = f"{loss.kind} needs targets that are numbers; {targets.not_a_number}"
            raise at(("dataset", "target"), sentence)
        return
    if dataset.standardise_targets:
        raise at(("dataset", "standardise_targets"), f"{loss.kind} needs labels as they are")
    if targets is not None and targets.infinite:
        raise at(("dataset", dataset.rows_field), targets.infinite)
    if classes is None and dataset.known_targets() is not None:
        check_labels(dataset, loss, outputs)
    elif classes is None:
        sentence = f"{loss.kind} needs classes, but the targets of {dataset.kind} are numbers"
        raise at(("loss", "kind"), sentence)
    elif classes < 2:
        raise at(("dataset", dataset.rows_field), SAME)
    elif one_output and classes != 2:
        sentence = f"{loss.kind} needs 2 classes, {dataset.kind} has {classes}"
        raise at(("loss", "kind"), sentence + suspects(dataset))
    elif not one_output and outputs != classes:
        sentence = f"{dataset.kind} has {classes} classes and needs {classes} output units"
        raise at(last, sentence + suspects(dataset))


def check_labels(dataset: DatasetSpec, loss: LossSpec, outputs: int) -> None:
    """Raises where the numbers of a data set of one's own cannot be the labels of classes."""
    labels = dataset.known_targets() or []
    place = ("dataset", dataset.rows_field)
    if len(set(labels)) < 2:
        raise at(place, SAME)
    if class_labels(labels, loss, outputs) is not None:
        return
    allowed, sentence = loss.allowed_labels(outputs)
    if {-1.0, 0.0, 1.0} == set(labels):
        raise at(place, "labels mix 0 with -1; use {0, 1} or {-1, 1}")
    i, label = next((i, label) for i, label in enumerate(labels) if label not in allowed)
    if dataset.table:
        grid, position = dataset.table.grid, dataset.table.target[1]
        where = f"{grid.place(i, position)}: the label is {label:g}"
        raise at(place, f"{where}, but {sentence}{suspects(dataset)}")
    row = (*place, i) if dataset.rows_field == "y" else place
    raise at(row, f"row {i} has label {label:g}, but {sentence}")


def class_labels(labels: Sequence[float], loss: LossSpec, outputs: int) -> list[float] | None:
    """The labels in the order of the classes that they stand for; None where they do not fit.

    Labels that count from 0 are the positions of their classes, so that a class may be without
    rows. Other whole numbers are classes in ascending order, as many as the outputs tell apart.
    """
    needed = max(2, loss.outputs(outputs))
    found = sorted(set(labels))
    if set(found) <= set(range(needed)):
        return [float(c) for c in range(needed)]
    fits = len(found) == needed and all(label.is_integer() for label in found)
    return found if fits else None


def suspects(dataset: DatasetSpec) -> str:
    """The cells of a table that may be mistyped labels, after a semicolon; or nothing."""
    rare = dataset.table.rare_labels() if dataset.table else ""
    return f"; {rare}" if rare else ""
