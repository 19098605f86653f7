"""/v1/jobs/{id}/predict: a trained network is asked about rows, at any step of its training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus as Status
from typing import Any, cast

from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models import RawModel
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from engine.data.preprocessing import Preprocessing
from engine.inference import Cells, InvalidRows, read
from engine.inference.answers import answers as answer_rows
from engine.inference.predict import outputs
from engine.networks.activations import activation
from engine.networks.forward import layers_of
from engine.spec.base import MAX_ROWS
from service.api import context
from service.api.artifacts import Computing
from service.api.json_bodies import StrictRequest
from service.api.openapi import answers
from service.api.prefer import PreferHeader
from service.api.preprocessing import preprocessing_answer
from service.api.resources.jobs import TAG, JobPath
from service.api.steps import Step, StepQuery, parameters_answer
from service.common.errors import InvalidRequest
from service.store import jobs, parameters, steps
from service.store.steps import StepParameters
from service.store.tables import Job

# Rows that take longer are refused, because a thread of the API is theirs meanwhile. The figures
# are nanoseconds per row on one core: for reading and writing it, per cell, per parameter, per
# unit whose activation is computed number by number, and per probability.
MOST_NANOSECONDS = 200_000_000
ROW, CELL, PARAMETER, NUMBER, PROBABILITY = 5_000, 300, 3, 250, 1_500

CSV = "text/csv"

blueprint = APIBlueprint(
    "predictions", __name__, url_prefix="/v1/jobs/<string:id>/predict", abp_tags=[TAG]
)

STEP: TypeAdapter[int | str] = TypeAdapter(Step)


class RowsBody(RawModel):
    """Rows as JSON, or as CSV text."""

    mimetypes = ["application/json", CSV]  # noqa: RUF012


class PredictionView(BaseModel):
    """The answer for one row; what it holds depends on the loss that was trained.

    Everything in it is null where the network's outputs are not finite numbers.
    """

    # The field is called `class`, which is a word of Python.
    model_config = ConfigDict(populate_by_name=True)

    value: float | None = Field(default=None, description="of a regression, in the target's unit")
    class_name: str | None = Field(default=None, alias="class", description="the predicted class")
    score: float | None = Field(
        default=None, description="max_margin: above 0 the answer is the second class"
    )
    probabilities: dict[str, float] | None = Field(
        default=None, description="of each class by name"
    )


class Predictions(BaseModel):
    """An answer per row, in the order of the rows."""

    step: int = Field(description="the parameters that were asked: those after so many updates")
    items: list[PredictionView]


@blueprint.post(
    "",
    operation_id="predict",
    summary="Predict",
    responses=answers(
        {200: Predictions, 202: Computing},
        Status.BAD_REQUEST,
        Status.NOT_FOUND,
        Status.CONFLICT,
        Status.REQUEST_ENTITY_TOO_LARGE,
        Status.UNSUPPORTED_MEDIA_TYPE,
        Status.UNPROCESSABLE_ENTITY,
        Status.INTERNAL_SERVER_ERROR,
        Status.SERVICE_UNAVAILABLE,
        Status.INSUFFICIENT_STORAGE,
    ),
)
def predict(path: JobPath, query: StepQuery, header: PreferHeader, raw: RowsBody) -> Response:
    """Asks the network about rows and stores nothing. As JSON, `{"rows": […], "step": k}`: a row
    is a list of values in the order of the columns, or an object by column name, and `step` may be
    left out. Or as `text/csv`, with the names of the columns in its first line or without, and
    `?step=`. Texts are given as they stand in the data, and nothing is to be scaled.

    A step that was not kept is computed again, which may take a while: the answer is then 202, and
    the request is to be sent again to its `Location`. A step in the address counts before one in
    the body.
    """
    with context.read() as session:
        jobs.key(session, path.id)  # of a job that is not there, no body is read
    rows, step = _asked()
    with context.read() as session:
        job = jobs.get(session, path.id)
        number = steps.resolve(session, job, step if query.step is None else query.step)

    def ask(model: Preprocessing) -> Response:
        cells = _read(job, model, rows)  # before a step is computed that wrong rows do not need
        return parameters_answer(
            job.id, number, header.prefer, lambda job, found: _view(job, model, cells, found)
        )

    return preprocessing_answer(path.id, header.prefer, ask)


def _asked() -> tuple[Sequence[Any] | str, Any]:
    """The rows of the request, and the step in its body."""
    # Flask has made it of this class, as the app wants it.
    sent = cast(StrictRequest, request._get_current_object())  # type: ignore[attr-defined]
    if sent.mimetype == CSV:
        return sent.text(), None
    if not sent.is_json:
        raise UnsupportedMediaType(
            "send the rows as JSON with Content-Type: application/json, or as CSV with "
            f"Content-Type: {CSV}"
        )
    body = sent.get_json()
    errors = [
        (f"/{name}", "there is no such field; there are rows and step")
        for name in body.keys() - {"rows", "step"}
    ]
    if not isinstance(body.get("rows"), list):
        errors.append(("/rows", "must be a list of rows, each a list of values or an object"))
    step = body.get("step")
    if step is not None:
        try:
            # As in a query, where it is text; 1.0 and true are not numbers of updates.
            step = STEP.validate_python(str(step) if type(step) is int else step)
        except ValidationError as error:
            errors.append(("/step", error.errors()[0]["msg"].removeprefix("Value error, ")))
    if errors:
        raise InvalidRequest(errors)
    return body["rows"], step


def _read(job: Job, model: Preprocessing, rows: Sequence[Any] | str) -> Cells:
    """The rows as cells. Raises InvalidRequest where they are wrong or too many."""
    place, count = ("", rows.count("\n")) if isinstance(rows, str) else ("rows", len(rows))
    most = most_rows(job, model)
    # A file may have lines besides its rows; how many, only reading tells.
    slack = most + 10 if isinstance(rows, str) else 0
    if count > most + slack:
        raise InvalidRequest([(place and f"/{place}", too_many(count, most))])
    try:
        cells = read(model, rows, place)
    except InvalidRows as error:
        raise InvalidRequest(error.problems) from None
    if len(cells.cells) > most:
        raise InvalidRequest([(place and f"/{place}", too_many(len(cells.cells), most))])
    return cells


def most_rows(job: Job, model: Preprocessing) -> int:
    """The most rows that one request may ask about, by the work that each takes."""
    specified = json.loads(job.spec)["model"]["layers"]
    inputs, each = len(model.scaling.input_mean), ROW + CELL * len(model.columns)
    for layer in specified:
        each += PARAMETER * layer["units"] * (inputs + 1)
        if activation(layer["activation"]).number is not None:
            each += NUMBER * layer["units"]
        inputs = layer["units"]
    each += PROBABILITY * len(model.output.classes or ())
    return max(1, min(MAX_ROWS, MOST_NANOSECONDS // each))


def too_many(count: int, most: int) -> str:
    return (
        f"there are {count:,} rows, and this network answers at most {most:,} at a time: send them "
        "in parts"
    )


def _view(job: Job, model: Preprocessing, cells: Cells, found: StepParameters) -> Response:
    specified = json.loads(job.spec)["model"]["layers"]
    sizes = parameters.sizes([layer["units"] for layer in specified], found.numbers.size)
    network = layers_of(found.numbers, sizes, [layer["activation"] for layer in specified])
    items = answer_rows(model, outputs(model, network, cells.cells))
    return jsonify({"step": found.step, "items": items})
