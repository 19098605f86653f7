"""What a job leaves behind: its loss history, its parameters, its events."""

from __future__ import annotations

import json
from http import HTTPStatus as Status

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from service.api.context import current
from service.api.openapi import answers
from service.api.resources.wire import (
    EventList,
    EventsQuery,
    HistoryPage,
    HistoryQuery,
    JobPath,
    ParametersView,
    event_view,
)
from service.store import downsampling, events, history, jobs, parameters

LIST_PROBLEMS = (Status.NOT_FOUND, Status.UNPROCESSABLE_ENTITY, Status.SERVICE_UNAVAILABLE)

blueprint = APIBlueprint(
    "outcomes",
    __name__,
    url_prefix="/v1/jobs/<string:id>",
    abp_tags=[Tag(name="outcomes", description="What a job leaves behind")],
)


@blueprint.get(
    "/history",
    operation_id="get_history",
    summary="Loss history",
    responses=answers({200: HistoryPage}, *LIST_PROBLEMS),
)
def history_page(path: JobPath, query: HistoryQuery) -> Response:
    """Logged steps after `after_step`, in order. To follow a job that runs, ask again with the
    last step that you have.
    """
    with current().database.read() as session:
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


@blueprint.get(
    "/parameters",
    operation_id="get_parameters",
    summary="Final parameters",
    responses=answers(
        {200: ParametersView}, Status.NOT_FOUND, Status.CONFLICT, Status.SERVICE_UNAVAILABLE
    ),
)
def final_parameters(path: JobPath) -> Response:
    """The weights and biases that training ended with; 409 while there are none."""
    with current().database.read() as session:
        job = jobs.get(session, path.id)
        result = parameters.get(session, job)
    activations = [layer["activation"] for layer in json.loads(job.spec)["model"]["layers"]]
    layers = [
        {
            "weights": layer.weights.tolist(),
            "biases": layer.biases.tolist(),
            "activation": activation,
        }
        for layer, activation in zip(parameters.unpack(result.data), activations, strict=True)
    ]
    return jsonify({"step": result.step, "sha256": result.sha256, "layers": layers})


@blueprint.get(
    "/events",
    operation_id="list_events",
    summary="Events",
    responses=answers({200: EventList}, *LIST_PROBLEMS),
)
def event_list(path: JobPath, query: EventsQuery) -> Response:
    """Everything that happened to the job, and who did it."""
    with current().database.read() as session:
        job = jobs.key(session, path.id)
        found = events.of_job(session, job, after=query.after, limit=query.limit)
    return jsonify({"items": [event_view(event) for event in found]})
