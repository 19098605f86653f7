"""From a row as a person has it to the inputs of a network, and from its outputs to an answer.

It is made when a job is prepared, from the specification and the training rows. With it and the
parameters a network can be asked, wherever they were carried to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.arrays import Array
from engine.data.features import encode, evaluate
from engine.data.loading import InvalidData
from engine.data.scaling import Scaling
from engine.spec import JobSpec
from engine.spec.columns import Column
from engine.spec.features import Cell, Names, parse

VERSION = 1
OutputKind = Literal["value", "score", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class Output:
    """What the outputs of a network mean.

    Attributes:
        kind: the target itself (`value`); of two classes the `score` of the second, which is the
            answer above 0, or its logit (`sigmoid`); or a logit per class (`softmax`).
        classes: their names in the order of the labels; None in a regression.
        loss_kind: the loss that was trained.
        loss_unit: the unit of its value, such as `nats` or the target's squared (`y²`); of
            standardised targets the standard deviation, `σ` or `σ²`.
    """

    kind: OutputKind
    classes: tuple[str, ...] | None
    loss_kind: str
    loss_unit: str


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a model remembers of its data.

    Attributes:
        columns: the columns of a row, without the target.
        target: the name of the target.
        target_position: how many columns stand before the target in a row that holds it.
        ignored: names of columns that a row may hold, and that are left out.
        means: what fills the gaps of each encoded column; None where gaps are refused.
        features: the formulas of the inputs; None where they are the encoded columns.
        scaling: the shift and scale of each input, and of the target.
        output: what the outputs mean.
    """

    columns: tuple[Column, ...]
    target: str
    target_position: int
    ignored: tuple[str, ...]
    means: Array | None
    features: tuple[str, ...] | None
    scaling: Scaling
    output: Output

    @classmethod
    def of(cls, spec: JobSpec, cells: Array, y: Array, chosen: list[int]) -> Preprocessing:
        """The preprocessing of a job.

        Args:
            cells: rows × columns, as `engine.data.loading.load` returns them.
            y: one target per row, classes as positions.
            chosen: the training rows, whose statistics are used.

        Raises:
            InvalidData: a mean, a feature or a scale would not be a finite number.
        """
        dataset = spec.dataset
        columns = dataset.columns()
        means = None
        if dataset.fills_gaps():
            means = means_of(encode(cells, columns)[chosen], columns)
        unscaled = unscaled_inputs(cells, columns, means, dataset.features)
        if not np.isfinite(unscaled).all():
            raise InvalidData("a feature is too large a number in some row; leave it out")
        return cls(
            columns=columns,
            target=dataset.target_name(),
            target_position=dataset.target_position(),
            ignored=dataset.ignored_columns(),
            means=means,
            features=None if dataset.features is None else tuple(dataset.features),
            scaling=Scaling.of(dataset, unscaled[chosen], y[chosen]),
            output=output_of(spec),
        )

    def inputs(self, cells: Array) -> Array:
        """The inputs of the network (rows × inputs) for cells (rows × columns).

        A cell is a number, 0 or 1 for a boolean, the position of a text's category, or NaN for a
        gap. A row becomes the same numbers to the bit in training and prediction, and among any
        other rows.
        """
        return self.scaling.inputs(unscaled_inputs(cells, self.columns, self.means, self.features))

    def input_names(self) -> list[str]:
        """The name of each input: a column, `column=text` per category, or a feature."""
        of_columns = [
            [f"{column.name}={text}" for text in column.categories]
            if column.type == "text"
            else [column.name]
            for column in self.columns
        ]
        if self.features is None:
            return [name for names in of_columns for name in names]
        found: list[str] = []
        for text in self.features:
            term = parse(text, Names(self.columns))
            found += of_columns[term.column] if isinstance(term, Cell) else [text]
        return found

    def to_json(self) -> str:
        """JSON that `from_json` reads back to the bit."""
        return json.dumps(self.document(), ensure_ascii=False, allow_nan=False)

    def document(self) -> dict[str, Any]:
        """What `to_json` writes, as JSON's own types."""
        scaling = self.scaling
        return {
            "version": VERSION,
            "columns": [
                {"name": column.name, "type": column.type}
                | ({"categories": list(column.categories)} if column.type == "text" else {})
                for column in self.columns
            ],
            "target": {"name": self.target, "position": self.target_position},
            "ignored": list(self.ignored),
            "means": None if self.means is None else self.means.tolist(),
            "features": None if self.features is None else list(self.features),
            "scaling": {
                "input_mean": scaling.input_mean.tolist(),
                "input_scale": scaling.input_scale.tolist(),
                "target_mean": scaling.target_mean,
                "target_scale": scaling.target_scale,
            },
            "output": {
                "kind": self.output.kind,
                "classes": None if self.output.classes is None else list(self.output.classes),
            },
            "loss": {"kind": self.output.loss_kind, "unit": self.output.loss_unit},
        }

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """The inverse of `to_json`; ValueError where a later version has written it."""
        found = json.loads(text)
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']} of preprocessing is not known here")
        scaling, output, means = found["scaling"], found["output"], found["means"]
        return cls(
            columns=tuple(
                Column(column["name"], column["type"], tuple(column.get("categories", ())))
                for column in found["columns"]
            ),
            target=found["target"]["name"],
            target_position=found["target"]["position"],
            ignored=tuple(found["ignored"]),
            means=None if means is None else np.array(means, dtype=np.float64),
            features=None if found["features"] is None else tuple(found["features"]),
            scaling=Scaling(
                np.array(scaling["input_mean"], dtype=np.float64),
                np.array(scaling["input_scale"], dtype=np.float64),
                scaling["target_mean"],
                scaling["target_scale"],
            ),
            output=Output(
                output["kind"],
                None if output["classes"] is None else tuple(output["classes"]),
                found["loss"]["kind"],
                found["loss"]["unit"],
            ),
        )


def unscaled_inputs(
    cells: Array,
    columns: tuple[Column, ...],
    means: Array | None,
    features: list[str] | tuple[str, ...] | None,
) -> Array:
    """The inputs before they are scaled: texts encoded, gaps filled, features computed."""
    found = encode(cells, columns)
    if means is not None:
        found = np.where(np.isnan(found), means, found)
    if features is not None:
        names = Names(columns)
        found = evaluate([parse(text, names) for text in features], found, columns)
    return found


def means_of(encoded: Array, columns: tuple[Column, ...]) -> Array:
    """The mean of each encoded column over the rows that have a value in it."""
    known = ~np.isnan(encoded)
    counts = known.sum(axis=0)
    if not counts.all():
        owners = [column.name for column in columns for _ in range(column.inputs)]
        name = owners[int(np.argmin(counts))]
        raise InvalidData(f"column {name} has no value in any training row; leave it out")
    with np.errstate(over="ignore"):
        means: Array = np.where(known, encoded, 0.0).sum(axis=0) / counts
    if not np.isfinite(means).all():
        raise InvalidData("the data set holds numbers that are too large for a mean")
    return means


def output_of(spec: JobSpec) -> Output:
    unit = spec.loss.UNIT
    if spec.dataset.standardise_targets:
        unit = unit.replace("y", "σ")
    return Output(spec.loss.OUTPUT, spec.class_names(), spec.loss.kind, unit)
