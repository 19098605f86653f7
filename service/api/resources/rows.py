"""/v1/jobs/{id}/rows: the rows of a data set with what the network says of each."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

import numpy as np
from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field, StringConstraints

from engine.arrays import Integers
from engine.data.preprocessing import Preprocessing
from engine.inference.answers import answers as answer_rows
from engine.inference.answers import positions, values
from engine.inference.cells import listed
from engine.spec.columns import Column
from service.api.artifacts import Computing
from service.api.evaluations import RowsOf, RowsQuery, judged_answer
from service.api.openapi import answers
from service.api.prefer import PreferHeader
from service.api.resources.evaluation import PROBLEMS
from service.api.resources.jobs import NO_NUL, TAG, JobPath
from service.api.resources.predictions import PredictionView
from service.common.errors import InvalidRequest
from service.store import cursors
from service.store.evaluations import Judged

MAX_PAGE = 1_000
CURSOR = re.compile(rb"([0-9]{1,9}) rows of step ([0-9]{1,10})")

blueprint = APIBlueprint("rows", __name__, url_prefix="/v1/jobs/<string:id>/rows", abp_tags=[TAG])

ClassName = Annotated[str, StringConstraints(pattern=NO_NUL)]


class RowPageQuery(RowsQuery):
    sort: Literal["row", "loss", "-loss"] = Field(
        default="row", description="the order; `-loss`: the worst prediction first"
    )
    true: ClassName | None = Field(default=None, description="only rows of this class")
    predicted: ClassName | None = Field(
        default=None, description="only rows that are predicted as this class"
    )
    limit: int = Field(default=100, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(
        default=None, description="next_cursor of the page before, with the same other parameters"
    )


class JudgedRow(BaseModel):
    """A row, and what the network says of it."""

    row: int = Field(description="its place in the data set, from 0")
    inputs: dict[str, float | bool | str | None] = Field(description="by name of the column")
    target: float | str
    prediction: PredictionView
    residual: float | None = Field(description="of a regression: target minus prediction")
    loss: float | None = Field(description="of this row alone, without penalties on parameters")


class RowPage(BaseModel):
    """Rows with their predictions."""

    step: int
    of: RowsOf
    total: int = Field(description="rows that the filters leave")
    items: list[JudgedRow]
    next_cursor: str | None


@blueprint.get(
    "",
    operation_id="list_rows",
    summary="List rows with their predictions",
    responses=answers({200: RowPage, 202: Computing}, *PROBLEMS),
)
def page(path: JobPath, query: RowPageQuery, header: PreferHeader) -> Response:
    """The rows behind an evaluation, such as those of one cell of its confusion matrix:
    `?true=oak&predicted=elm`. It may take a while: the answer is then 202, and 200 later.
    """
    skipped, step = (0, query.step) if query.cursor is None else position(query.cursor)

    def view(step: int, of: RowsOf, judged: Judged) -> Response:
        chosen = order(judged, query)
        end = skipped + query.limit
        return jsonify(
            {
                "step": step,
                "of": of,
                "total": len(chosen),
                "items": items(judged, chosen[skipped:end]),
                "next_cursor": cursor(end, step) if end < len(chosen) else None,
            }
        )

    return judged_answer(path.id, step, query.of, header.prefer, view)


def order(judged: Judged, query: RowPageQuery) -> Integers:
    """The rows that the filters leave, in the order that was asked for."""
    left = np.ones(len(judged.rows), dtype=np.bool_)
    if query.true is not None:
        left &= judged.targets == class_position(judged.preprocessing, "true", query.true)
    if query.predicted is not None:
        wanted = class_position(judged.preprocessing, "predicted", query.predicted)
        left &= positions(judged.preprocessing, judged.outputs) == wanted
    chosen: Integers = np.flatnonzero(left)
    if query.sort != "row":
        losses = judged.losses[chosen]
        # Rows without a loss, which are not numbers, are the last in both orders.
        by = np.argsort(-losses if query.sort == "-loss" else losses, kind="stable")
        chosen = chosen[by]
    return chosen


def class_position(model: Preprocessing, parameter: str, name: str) -> int:
    classes = model.output.classes
    if classes is None:
        raise InvalidRequest([(f"/{parameter}", "the job is a regression, which has no classes")])
    if name not in classes:
        sentence = f"{name!r} is not a class of {model.target}; there are {listed(classes)}"
        raise InvalidRequest([(f"/{parameter}", sentence)])
    return classes.index(name)


def items(judged: Judged, chosen: Integers) -> list[dict[str, Any]]:
    """A `JudgedRow` per row."""
    model, outputs = judged.preprocessing, judged.outputs[chosen]
    targets: list[Any] = judged.targets[chosen].tolist()
    residuals: list[float] = []
    if model.output.classes is not None:
        targets = [model.output.classes[int(i)] for i in targets]
    else:
        residuals = (judged.targets[chosen] - values(model, outputs)).tolist()
    return [
        {
            "row": row,
            "inputs": {
                column.name: value_of_cell(column, cell)
                for column, cell in zip(model.columns, cells, strict=True)
            },
            "target": targets[i],
            "prediction": prediction,
            "residual": finite(residuals[i]) if residuals else None,
            "loss": finite(loss),
        }
        for i, (row, cells, prediction, loss) in enumerate(
            zip(
                judged.rows[chosen].tolist(),
                judged.cells[chosen].tolist(),
                answer_rows(model, outputs),
                judged.losses[chosen].tolist(),
                strict=True,
            )
        )
    ]


def value_of_cell(column: Column, cell: float) -> float | bool | str | None:
    """The value that a cell stands for; None for a gap."""
    if math.isnan(cell):
        return None
    if column.type == "text":
        return column.categories[int(cell)]
    return bool(cell) if column.type == "boolean" else cell


def finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def cursor(skipped: int, step: int) -> str:
    """The place of the next page; it names the step, which `latest` may have left by then."""
    return cursors.pack(f"{skipped} rows of step {step}")


def position(cursor: str) -> tuple[int, int]:
    """The rows before a page, and its step. Raises InvalidCursor."""
    match = cursors.unpack(cursor, CURSOR)
    return int(match[1]), int(match[2])
