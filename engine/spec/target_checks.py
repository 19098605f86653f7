"""Whether labels, loss and output units fit each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.spec.base import at
from engine.spec.datasets import Csv, Inline

if TYPE_CHECKING:
    from engine.spec import JobSpec

SAME = "labels are all the same; two classes are needed"


def check_targets(spec: JobSpec) -> None:
    """Raises a located validation error where they do not."""
    loss, dataset = spec.loss.kind, spec.dataset
    last = ("model", "layers", len(spec.model.layers) - 1, "units")
    outputs = spec.model.layers[-1].units
    if loss != "cross_entropy" and outputs != 1:
        raise at(last, f"{loss} needs 1 output unit, not {outputs}")
    classes = dataset.classes()
    if not spec.classifies():
        if isinstance(dataset, Csv) and classes is not None:
            reason = dataset.table.not_a_number
            raise at(("dataset", "target"), f"{loss} needs targets that are numbers; {reason}")
        return
    if dataset.standardise_targets:
        raise at(("dataset", "standardise_targets"), f"{loss} needs labels as they are")
    if isinstance(dataset, Inline):
        check_labels(dataset.y, spec, ("dataset", "y"))
    elif isinstance(dataset, Csv) and classes is None:
        check_labels(dataset.table.y, spec, ("dataset", "text"))
    elif classes is None:
        raise at(("loss", "kind"), f"{loss} needs classes, {dataset.kind} has numbers as targets")
    elif classes < 2:
        raise at(("dataset", "text"), SAME)
    elif loss == "cross_entropy" and outputs != classes:
        raise at(last, f"{dataset.kind} has {classes} classes and needs {classes} output units")
    elif loss != "cross_entropy" and classes != 2:
        raise at(("loss", "kind"), f"{loss} needs 2 classes, {dataset.kind} has {classes}")


def check_labels(labels: list[float], spec: JobSpec, place: tuple[str, str]) -> None:
    """Raises where numeric labels are none that the loss reads."""
    classes = spec.model.layers[-1].units
    if spec.loss.kind == "cross_entropy":
        allowed = {float(c) for c in range(classes)}
        reads = f"the classes 0 to {classes - 1} of {classes} output units"
    else:
        allowed = {-1.0, 0.0, 1.0}
        reads = f"the labels that {spec.loss.kind} reads: 0 and 1, or -1 and 1"
    for i, label in enumerate(labels):
        if label not in allowed:
            where = (*place, i) if place == ("dataset", "y") else place
            raise at(where, f"label {label:g} of row {i} is none of {reads}")
    found = set(labels)
    if {-1.0, 0.0} <= found:
        raise at(place, "labels mix 0 with -1; use {0, 1} or {-1, 1}")
    if len(found) < 2:
        raise at(place, SAME)
