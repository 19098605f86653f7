"""Judging a network on rows whose targets are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Integers
from engine.autograd.formulas import add_up
from engine.autograd.value import Value
from engine.data.preprocessing import Preprocessing
from engine.inference.answers import answers, positions, values
from engine.inference.predict import outputs
from engine.inference.rows import Cells, InvalidRows
from engine.networks.batch_loss import example_weight
from engine.networks.forward import LayerParameters
from engine.spec import JobSpec
from engine.spec.loss import LossSpec
from engine.training.evaluation import finite
from engine.training.prepared import load_rows


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How well one class is told from the others; None where a fraction has no denominator.

    Attributes:
        precision: the share of the rows predicted as this class that are of it.
        recall: the share of the rows of this class that are predicted as it.
        f1: the harmonic mean of both.
        rows: how many rows are of this class.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    rows: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network judged on rows.

    Attributes:
        loss: as the history has it: all rows reduced, with the penalties on parameters, in
            `loss_unit`. None where it is not finite.
        score_name: `accuracy`, or `R²` in a regression.
        score: the fraction of right predictions, or R²; None where it is not defined.
        confusion: rows[true class][predicted class], both in the order of `classes`; None in a
            regression.
        classes: one entry per class; empty in a regression.
        residuals: target minus prediction per row, in the target's unit; None for classes.
        targets: the target of each row: its number, or the name of its class.
        outputs: the network's outputs, rows × units.
        answers: the prediction of each row, as `predict` gives it.
        losses: the loss of each row alone, without penalties; None where it is not finite.
    """

    loss: float | None
    loss_unit: str
    score_name: str
    score: float | None
    confusion: list[list[int]] | None
    classes: list[ClassScores]
    residuals: list[float] | None
    targets: list[float] | list[str]
    outputs: Array
    answers: list[dict[str, Any]]
    losses: list[float | None]


def evaluate(
    spec: JobSpec,
    preprocessing: Preprocessing,
    layers: Sequence[LayerParameters],
    rows: Cells,
) -> Evaluation:
    """Judges a network on rows; loss and score have the bits of the scalar executor.

    Args:
        spec: the specification of the job, for its loss.
        preprocessing: what the model remembers of its data.
        layers: the parameters to judge.
        rows: `rows_of` a job, or what `engine.inference.predict.read` makes of other rows.

    Raises:
        InvalidRows: a row has no target.
    """
    absent = np.flatnonzero(np.isnan(rows.targets)).tolist()
    if absent:
        sentence = f"the row has no {preprocessing.target}, and cannot be judged without it"
        raise InvalidRows([(f"/rows/{i}", sentence) for i in absent[:10]])
    found = outputs(preprocessing, layers, rows.cells)
    encoded = spec.loss.encode(preprocessing.scaling.targets(rows.targets), found.shape[1])
    losses = example_losses(spec.loss, found, encoded)
    names = preprocessing.output.classes
    confusion = None if names is None else confusion_of(preprocessing, found, rows.targets)
    residuals = None if names is not None else rows.targets - values(preprocessing, found)
    return Evaluation(
        loss=finite(total(spec.loss, losses, layers)),
        loss_unit=preprocessing.output.loss_unit,
        score_name=spec.loss.score_name,
        score=spec.loss.score(found, encoded),
        confusion=None if confusion is None else confusion.tolist(),
        classes=[] if confusion is None or names is None else class_scores(names, confusion),
        residuals=None if residuals is None else residuals.tolist(),
        targets=(
            rows.targets.tolist()
            if names is None
            else [names[int(i)] for i in rows.targets.tolist()]
        ),
        outputs=found,
        answers=answers(preprocessing, found),
        losses=list(map(finite, losses)),
    )


def rows_of(spec: JobSpec, of: Literal["training", "validation", "all"] = "all") -> Cells:
    """The rows of a job's data set; InvalidData where it cannot be made. There may be none."""
    loaded = load_rows(spec)
    every = list(range(len(loaded.cells)))
    chosen = {"training": loaded.training, "validation": loaded.validation, "all": every}[of]
    return Cells(loaded.cells[chosen], loaded.targets[chosen])


def example_losses(loss: LossSpec, found: Array, targets: Array) -> list[float]:
    """The loss of each row alone."""
    formula = loss.example()
    return [
        formula([Value(output) for output in row], target).data
        for row, target in zip(found.tolist(), targets.tolist(), strict=True)
    ]


def total(loss: LossSpec, losses: list[float], layers: Sequence[LayerParameters]) -> float:
    """The losses reduced, and the penalties, in the order in which a training adds them up."""
    found = add_up(losses) * example_weight(len(losses), loss.reduction)
    if loss.l2 > 0.0 or loss.l1 > 0.0:
        parameters = [p for layer in layers for p in flat(layer)]
        if loss.l2 > 0.0:
            found += loss.l2 * add_up(p * p for p in parameters)
        if loss.l1 > 0.0:
            found += loss.l1 * add_up(map(abs, parameters))
    return found


def flat(layer: LayerParameters) -> list[float]:
    """The parameters neuron by neuron, weights before the bias."""
    numbers: list[float] = np.hstack([layer.weights, layer.biases[:, None]]).ravel().tolist()
    return numbers


def confusion_of(preprocessing: Preprocessing, found: Array, targets: Array) -> Integers:
    """The number of rows per true class (rows) and predicted class (columns)."""
    count = len(preprocessing.output.classes or ())
    cell = targets.astype(np.intp) * count + positions(preprocessing, found).astype(np.intp)
    counted: Integers = np.bincount(cell, minlength=count * count).astype(np.int64)
    return counted.reshape(count, count)


def class_scores(names: Sequence[str], confusion: Integers) -> list[ClassScores]:
    right = np.diag(confusion).tolist()
    true, predicted = confusion.sum(axis=1).tolist(), confusion.sum(axis=0).tolist()
    return [
        ClassScores(
            name=name,
            precision=share(hits, all_predicted),
            recall=share(hits, all_true),
            f1=share(2 * hits, all_true + all_predicted),
            rows=all_true,
        )
        for name, hits, all_true, all_predicted in zip(names, right, true, predicted, strict=True)
    ]


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
