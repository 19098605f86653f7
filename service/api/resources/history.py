"""/v1/jobs/{id}/history: the logged steps of a job."""

from __future__ import annotations

from http import HTTPStatus as Status

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from service.api import context
from service.api.openapi import answers
from service.api.query_parameters import Query
from service.api.resources.jobs import TAG, JobPath
from service.store import downsampling, history, jobs

MAX_HISTORY = 10_000
MAX_INTEGER = 2**31 - 1

blueprint = APIBlueprint(
    "history", __name__, url_prefix="/v1/jobs/<string:id>/history", abp_tags=[TAG]
)


class HistoryQuery(Query):
    after_step: int = Field(default=-1, ge=-1, le=MAX_INTEGER)
    limit: int = Field(default=1_000, ge=1, le=MAX_HISTORY)
    max_points: int | None = Field(
        default=None,
        ge=3,
        le=MAX_HISTORY,
        description="thin the whole history to at most this many rows that look alike when drawn",
    )


class HistoryItem(BaseModel):
    """One logged step; the loss is the one before the step's update."""

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    gradient_norm: float | None
    elapsed_seconds: float | None = Field(
        description="seconds of training up to the end of this step, pauses left out; measured at "
        "each progress commit and interpolated between two"
    )


class HistoryPage(BaseModel):
    """Logged steps in order."""

    items: list[HistoryItem]
    next_after_step: int | None = Field(description="null when there are no more rows by now")


@blueprint.get(
    "",
    operation_id="get_history",
    summary="Loss history",
    responses=answers(
        {200: HistoryPage},
        Status.NOT_FOUND,
        Status.UNPROCESSABLE_ENTITY,
        Status.SERVICE_UNAVAILABLE,
    ),
)
def history_page(path: JobPath, query: HistoryQuery) -> Response:
    """Logged steps after `after_step`, in order. To follow a job that runs, ask again with the
    last step that you have.
    """
    with context.read() as session:
        job = jobs.key(session, path.id)
        if query.max_points is not None:
            rows = downsampling.thinned(
                session, job, after_step=query.after_step, max_points=query.max_points
            )
            more = False
        else:
            # One more than asked for tells whether there are more.
            rows = history.read(session, job, after_step=query.after_step, limit=query.limit + 1)
            more = len(rows) > query.limit
            rows = rows[: query.limit]
    items = [
        {"step": row[0]}
        | dict(zip(history.MEASURES[1:], map(history.finite, row[1:]), strict=True))
        for row in rows
    ]
    return jsonify({"items": items, "next_after_step": items[-1]["step"] if more else None})
