"""A specification made concrete: the arrays that every executor reads instead of recipes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.data import loading
from engine.data.batches import Batches, split
from engine.data.preprocessing import Preprocessing
from engine.spec import JobSpec, validation_rows
from engine.spec.loss import ExampleLoss


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs (rows × inputs) and targets (rows × targets) as the loss reads them."""

    x: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class PreparedTraining:
    """Everything that a training works on. It never changes and is the same for every executor.

    Attributes:
        training: the rows that are trained on, standardised if the specification says so.
        validation: the rows that are kept for validation; None where there are none.
        preprocessing: what turned the cells of a row into inputs, and turns outputs into answers.
        loss: the loss of one example, computed on Values.
        batches: the training rows that each step sees.
    """

    spec: JobSpec
    training: Rows
    validation: Rows | None
    preprocessing: Preprocessing
    loss: ExampleLoss
    batches: Batches

    def score(self, outputs: Array, targets: Array) -> float | None:
        """The accuracy of `outputs` (rows × units), or their R² in a regression."""
        return self.spec.loss.score(outputs, targets)

    def learning_rate(self, step: int) -> float:
        """The learning rate of one step; `engine.spec.schedules.rates` returns those of many."""
        rate: float = self.spec.optimizer.learning_rate.rate(step, self.spec.training.steps)
        return rate


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """The rows of a job as its data set has them.

    Attributes:
        cells: rows × columns, before anything is computed from them.
        targets: one per row, classes as positions.
        training: the rows that are trained on.
        validation: the rows that are kept for validation; both in ascending order.
    """

    cells: Array
    targets: Array
    training: list[int]
    validation: list[int]


def load_rows(spec: JobSpec) -> LoadedRows:
    """The rows of a specification, made and split. Raises InvalidData when that fails."""
    x, y = loading.load(spec.dataset)
    found = spec.class_labels()
    if found is not None:
        y = np.searchsorted(found, y).astype(np.float64)
    kept = validation_rows(len(x), spec.training.validation_fraction)
    labels = y.tolist() if spec.classifies() else None
    if labels is not None and len(set(labels)) < 2:
        raise loading.InvalidData(
            f"all {len(labels)} rows of {spec.dataset.kind} are of class {labels[0]:g}; "
            "choose another seed or more samples"
        )
    try:
        chosen, apart = split(len(x), kept, spec.training.seed, labels)
    except ValueError as error:
        raise loading.InvalidData(f"{error}; lower the validation fraction") from None
    return LoadedRows(x, y, chosen, apart)


def prepare(spec: JobSpec) -> PreparedTraining:
    """The problem of a specification, with its data made. Raises InvalidData when that fails."""
    loaded = load_rows(spec)
    preprocessing = Preprocessing.of(spec, loaded.cells, loaded.targets, loaded.training)
    targets = preprocessing.scaling.targets(loaded.targets)
    rows = Rows(
        preprocessing.inputs(loaded.cells), spec.loss.encode(targets, spec.model.layers[-1].units)
    )
    return PreparedTraining(
        spec=spec,
        training=take(rows, loaded.training),
        validation=take(rows, loaded.validation) if loaded.validation else None,
        preprocessing=preprocessing,
        loss=spec.loss.example(),
        batches=Batches(len(loaded.training), spec.training.batch_size, spec.training.seed),
    )


def take(rows: Rows, indices: list[int]) -> Rows:
    return Rows(np.ascontiguousarray(rows.x[indices]), rows.targets[indices])
