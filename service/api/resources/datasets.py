"""/v1/datasets: list, look at, page through the rows, and delete."""

from __future__ import annotations

import csv
import io
import json
from http import HTTPStatus as Status
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import numpy as np
from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field, StringConstraints

from engine.data.description import NamedRow, matrix, named_rows
from service.api import context
from service.api.openapi import answers
from service.api.query_parameters import Query
from service.api.stored_datasets import stored_dataset
from service.api.timestamps import rfc3339
from service.store import datasets, disk
from service.store.tables import Dataset

MAX_PAGE = 100
MAX_ROWS_PAGE = 10_000
# A page of long rows has fewer of them: so many cells take about 0.2 s.
MAX_CELLS_PAGE = 50_000
MAX_INTEGER = 2**31 - 1
NO_NUL = r"^[^\x00]*$"
CSV = "text/csv"

TAG = Tag(name="datasets", description="Data sets, uploaded once and named by many jobs")

blueprint = APIBlueprint("datasets", __name__, url_prefix="/v1/datasets", abp_tags=[TAG])


class PageQuery(Query):
    limit: int = Field(default=20, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(default=None, description="next_cursor of the page before")
    name: Annotated[str, StringConstraints(pattern=NO_NUL)] | None = Field(
        default=None, description="data sets of exactly this name"
    )


class RowsQuery(Query):
    limit: int = Field(
        default=100,
        ge=1,
        le=MAX_ROWS_PAGE,
        description="at most so many rows; fewer where they have many columns",
    )
    after_row: int = Field(default=-1, ge=-1, le=MAX_INTEGER, description="rows count from 0")
    format: Literal["json", "csv"] = "json"


class DatasetPath(BaseModel):
    id: str = Field(description="the data set's id, ds_…")


class Count(BaseModel):
    """How many rows have a text or a class."""

    name: str
    count: int


class ColumnView(BaseModel):
    """A column of inputs, in figures."""

    name: str
    type: Literal["number", "boolean", "text"]
    count: int = Field(description="rows with a value")
    missing: int = Field(description="rows without one")
    min: float | None = Field(default=None, description="of numbers and booleans")
    mean: float | None = None
    max: float | None = None
    categories: list[Count] | None = Field(default=None, description="of texts")


class TargetView(BaseModel):
    """The column to predict, in figures."""

    name: str
    type: Literal["number", "class"]
    count: int
    missing: int
    min: float | None = Field(default=None, description="of numbers")
    mean: float | None = None
    max: float | None = None
    classes: list[Count] | None = Field(
        default=None, description="names, or whole numbers of few values"
    )


class Read(BaseModel):
    """What was read. The fields from `header` on are those of a table, and else missing."""

    rows: int
    columns: list[ColumnView]
    target: TargetView
    header: bool | None = Field(default=None, description="whether the first row held names")
    delimiter: str | None = None
    decimal: str | None = None
    ignored: list[str] | None = Field(default=None, description="columns that were left out")
    dropped: int | None = Field(default=None, description="rows left out because of gaps")
    warnings: list[str] | None = Field(
        default=None, description="sentences about what was guessed or left out"
    )


class DatasetSummary(BaseModel):
    """A data set as it stands in lists."""

    id: str
    name: str | None
    kind: str = Field(description="that of its specification: csv, inline, moons, …")
    rows: int
    size: int = Field(description="bytes that count for what you store")
    created_at: str
    links: dict[str, str]


class DatasetView(DatasetSummary, Read):
    """A data set: what was read of it."""


class DatasetPage(BaseModel):
    """Data sets, newest first."""

    items: list[DatasetSummary]
    next_cursor: str | None


class RowView(BaseModel):
    """A row: its number from 0, its values by the names of the columns, and its target."""

    row: int
    values: dict[str, float | bool | str | None]
    target: float | str


class RowsPage(BaseModel):
    """Rows in their order."""

    items: list[RowView]
    next_after_row: int | None = Field(description="null when there are no more rows")


@blueprint.get(
    "",
    operation_id="list_datasets",
    summary="List data sets, newest first",
    responses=answers({200: DatasetPage}, Status.SERVICE_UNAVAILABLE),
)
def page(query: PageQuery) -> Response:
    with context.read() as session:
        found = datasets.page(session, limit=query.limit, cursor=query.cursor, name=query.name)
    items = [summary(dataset) for dataset in found.items]
    return jsonify({"items": items, "next_cursor": found.next_cursor})


@blueprint.get(
    "/<string:id>",
    operation_id="get_dataset",
    summary="Look at a data set",
    responses=answers({200: DatasetView}, Status.NOT_FOUND, Status.SERVICE_UNAVAILABLE),
)
def show(path: DatasetPath) -> Response:
    with context.read() as session:
        return jsonify(view(datasets.get(session, path.id)))


@blueprint.get(
    "/<string:id>/rows",
    operation_id="get_dataset_rows",
    summary="Rows of a data set",
    responses=answers({200: RowsPage}, Status.NOT_FOUND, Status.SERVICE_UNAVAILABLE),
)
def rows(path: DatasetPath, query: RowsQuery) -> Response:
    """Rows after `after_row`, as the data set holds them: texts, booleans and classes by name.

    As CSV the target is the last column, and the header `Link` leads to the next page.
    """
    with context.read() as session:
        dataset = datasets.get(session, path.id)
        report = json.loads(dataset.report)
        width = len(report["columns"]) + 1
        start = min(query.after_row + 1, dataset.rows)
        stop = min(dataset.rows, start + min(query.limit, max(1, MAX_CELLS_PAGE // width)))
        stored = datasets.cells(session, dataset, 8 * width * start, 8 * width * (stop - start))
    if stored is None:
        part = matrix(stored_dataset(path.id))[start:stop]
    else:
        part = np.frombuffer(stored, "<f8").reshape(-1, width)
    found = named_rows(report, part, start)
    following = stop - 1 if found and stop < dataset.rows else None
    if query.format == "csv":
        answer = Response(as_csv(report, found), mimetype=CSV)
    else:
        items = [row._asdict() for row in found]
        answer = jsonify({"items": items, "next_after_row": following})
    if following is not None:
        next_query = urlencode(request.args.to_dict() | {"after_row": following})
        answer.headers["Link"] = f'<{request.script_root}{request.path}?{next_query}>; rel="next"'
    return answer


@blueprint.delete(
    "/<string:id>",
    operation_id="delete_dataset",
    summary="Delete a data set",
    responses=answers({}, Status.NOT_FOUND, Status.CONFLICT, Status.SERVICE_UNAVAILABLE)
    | {204: {"description": "The data set is gone"}},
)
def delete(path: DatasetPath) -> Response:
    """Refused while a job that has not ended needs it. Where jobs that have ended were trained with
    it, its rows are kept for these, and go with the last of them.
    """
    disk.take_reserve(context.current().settings)
    with context.write() as session:
        datasets.delete_dataset(session, path.id)
    return Response(status=Status.NO_CONTENT)


def as_csv(report: dict[str, Any], found: list[NamedRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(column["name"] for column in report["columns"]), report["target"]["name"]])
    writer.writerows([*row.values.values(), row.target] for row in found)
    return text.getvalue()


def view(dataset: Dataset) -> dict[str, Any]:
    """A `DatasetView`."""
    report: dict[str, Any] = json.loads(dataset.report)
    return summary(dataset) | report


def summary(dataset: Dataset) -> dict[str, Any]:
    """A `DatasetSummary`."""
    here = f"{request.script_root}/v1/datasets/{dataset.id}"
    return {
        "id": dataset.id,
        "name": dataset.name,
        "kind": dataset.kind,
        "rows": dataset.rows,
        "size": dataset.size,
        "created_at": rfc3339(dataset.created_at),
        "links": {"self": here, "rows": f"{here}/rows"},
    }
