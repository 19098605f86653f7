"""POST /v1/datasets: a table, or any data set that a job may have, is read and stored.

The route belongs to the blueprint of the data sets: of two blueprints with the same address,
flask-openapi3 documents only one.
"""

from __future__ import annotations

import csv
import json
from http import HTTPStatus as Status
from typing import Annotated, Any, Literal, Self, cast

from flask import Response, jsonify, request, url_for
from pydantic import Field, StringConstraints, ValidationError, model_validator

from engine.data.description import describe_dataset, matrix
from engine.data.loading import InvalidData
from engine.spec.base import Model, problems
from engine.spec.datasets import Dataset, DatasetSpec
from engine.spec.tables import Missing, TableError, decode
from service.api import context
from service.api.json_bodies import StrictRequest
from service.api.openapi import answers
from service.api.query_parameters import Query
from service.api.resources.datasets import CSV, NO_NUL, DatasetView, view
from service.api.resources.datasets import blueprint as blueprint
from service.common.errors import InvalidRequest
from service.store import datasets, disk, quotas

EXAMPLE = "size,colour,price\n1.5,red,10\n2,blue,20\n"
BODY = {
    "required": True,
    "description": "a table as CSV, or a data-set specification as in a job's `dataset`",
    "content": {
        CSV: {"schema": {"type": "string"}, "example": EXAMPLE},
        "application/json": {"schema": {"$ref": "#/components/schemas/NewJob/properties/dataset"}},
    },
}

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]


class UploadQuery(Query):
    name: Name | None = Field(default=None, description="what to call the data set in lists")
    header: bool | None = Field(
        default=None, description="whether the first row holds names; by default found out"
    )
    target: str | None = Field(
        default=None,
        description="the column to predict, by name or by position from 0; by default the last one",
    )
    delimiter: Literal[",", ";", "\t", "|", " "] | None = Field(
        default=None, description="between cells; by default found out"
    )
    decimal: Literal[".", ","] | None = Field(
        default=None, description="the decimal sign; by default found out"
    )
    missing: Missing | None = Field(
        default=None,
        description="what happens to gaps: `refuse`, which is the default, `drop` their rows, or "
        "fill them with the `mean` of the training rows",
    )
    ignore: str | None = Field(
        default=None,
        description="columns to leave out, by names or positions with commas in between",
    )

    def options(self) -> dict[str, Any]:
        """The fields of a `csv` data set that are given."""
        given = self.model_dump(exclude_none=True, exclude={"name"})
        if self.ignore is not None:
            given["ignore"] = next(csv.reader([self.ignore], skipinitialspace=True), [])
        return given


class NewDataset(Model):
    """A data set alone, checked as it is within a job."""

    dataset: Dataset

    @model_validator(mode="after")
    def features_fit(self) -> Self:
        self.dataset.check_features()
        return self


@blueprint.post(
    "",
    operation_id="create_dataset",
    summary="Upload a data set",
    openapi_extensions={"requestBody": BODY},
    responses=answers(
        {201: DatasetView},
        Status.BAD_REQUEST,
        Status.REQUEST_ENTITY_TOO_LARGE,
        Status.UNSUPPORTED_MEDIA_TYPE,
        Status.UNPROCESSABLE_ENTITY,
        Status.SERVICE_UNAVAILABLE,
        Status.INSUFFICIENT_STORAGE,
    ),
)
def create(query: UploadQuery) -> Response:
    """Reads and stores a table, or any data set that a job may have. What was read is returned.

    The query parameters beside `name` say how to read CSV; a JSON body has them as fields.
    """
    dataset = uploaded(query)
    try:
        report = json.dumps(describe_dataset(dataset), allow_nan=False)
    except InvalidData as error:
        raise InvalidRequest([("", str(error))]) from None
    content = dataset.model_dump_json().encode()
    own = dataset.known_targets() is not None
    cells = matrix(dataset).astype("<f8").tobytes() if own else None
    # The whole size also where somebody else has the same bytes, so that nobody learns of that.
    size = len(content) + len(cells or b"") + len(report)
    settings = context.current().settings
    disk.check(settings)
    with context.write() as session:
        quotas.charge_dataset(session, settings, size)
        made = datasets.create(
            session,
            name=query.name,
            kind=dataset.kind,
            rows=dataset.raw_shape()[0],
            content=content,
            cells=cells,
            report=report,
            size=size,
        )
    answer = jsonify(view(made))
    answer.status_code = 201
    answer.headers["Location"] = url_for("datasets.show", id=made.id)
    return answer


def uploaded(query: UploadQuery) -> DatasetSpec:
    """The data set in the body of this request.

    Raises:
        InvalidRequest: it is not a data set; the places are in the body, or query parameters.
    """
    sent = cast(StrictRequest, request)
    if request.mimetype == CSV:
        return from_csv(sent.read_body(), query.options())
    options = sorted(query.options())
    document = sent.get_json()
    if options:
        sentence = "says how to read text/csv; a JSON body has a field of this name"
        raise InvalidRequest([(f"/{name}", sentence) for name in options])
    if document.get("kind") == "stored":
        raise InvalidRequest([("/kind", "this data set is stored already; name its id in a job")])
    try:
        return NewDataset.model_validate({"dataset": document}).dataset
    except ValidationError as error:
        raise InvalidRequest(places(error)) from None


def from_csv(body: bytes, options: dict[str, Any]) -> DatasetSpec:
    """The table in a body of CSV. A digit is a name if a column has it, or else a position."""
    try:
        document = {"kind": "csv", "text": decode(body)} | options
    except TableError as error:
        raise InvalidRequest([("", str(error))]) from None
    if not document["text"]:
        raise InvalidRequest([("", "the body is empty; it must hold a table")])
    try:
        return NewDataset.model_validate({"dataset": document}).dataset
    except ValidationError as error:
        found = places(error)
    by_position = document | {
        field: position(document[field]) for field in ("target", "ignore") if field in document
    }
    if by_position == document or found[0][0].split("/")[1:2] not in (["target"], ["ignore"]):
        raise InvalidRequest(found)
    try:
        return NewDataset.model_validate({"dataset": by_position}).dataset
    except ValidationError as error:
        raise InvalidRequest(places(error)) from None


def position(column: Any) -> Any:
    """Digits as the number that they write, anything else as it is."""
    if isinstance(column, list):
        return [position(part) for part in column]
    return int(column) if column.isascii() and column.isdigit() and len(column) < 10 else column


def places(error: ValidationError) -> list[tuple[str, str]]:
    """The problems of a `NewDataset`, with pointers into what was sent."""
    csv_body = request.mimetype == CSV
    found = [(place.removeprefix("/dataset"), sentence) for place, sentence in problems(error)]
    return [("" if csv_body and place == "/text" else place, text) for place, text in found]
