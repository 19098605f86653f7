"""/v1/jobs/{id}/events: everything that happened to a job."""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus as Status
from typing import Any

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from service.api import context
from service.api.openapi import answers
from service.api.query_parameters import Query
from service.api.resources.jobs import TAG, JobPath
from service.api.timestamps import rfc3339
from service.store import events, jobs
from service.store.states import JobState
from service.store.tables import Event

MAX_EVENTS = 1_000

PARTS = frozenset({"api", "recovery", "sweeper"})
# How version 0.1 ended the detail of a lost lease.
LOST = re.compile(r" by \S+ was not heard of any more$")

blueprint = APIBlueprint(
    "events", __name__, url_prefix="/v1/jobs/<string:id>/events", abp_tags=[TAG]
)


class EventsQuery(Query):
    after: int = Field(default=0, ge=0, le=2**53, description="id of the last event known")
    limit: int = Field(default=MAX_EVENTS, ge=1, le=MAX_EVENTS)


class EventView(BaseModel):
    """Something that happened to a job."""

    id: int = Field(description="the place among the events of this job, from 1")
    at: str
    kind: str
    from_state: JobState | None
    to_state: JobState
    actor: str = Field(
        description="api, recovery (in events of version 0.1: sweeper), or the name of a worker "
        "process"
    )
    detail: str | None


class EventList(BaseModel):
    """Events, oldest first."""

    items: list[EventView]


@blueprint.get(
    "",
    operation_id="list_events",
    summary="Events",
    responses=answers(
        {200: EventList}, Status.NOT_FOUND, Status.UNPROCESSABLE_ENTITY, Status.SERVICE_UNAVAILABLE
    ),
)
def event_list(path: JobPath, query: EventsQuery) -> Response:
    """Everything that happened to the job, and who did it."""
    with context.read() as session:
        job = jobs.key(session, path.id)
        found = events.of_job(session, job, after=query.after, limit=query.limit)
    items = [event_view(number, event) for number, event in enumerate(found, query.after + 1)]
    return jsonify({"items": items})


def event_view(number: int, event: Event) -> dict[str, Any]:
    """An `EventView`."""
    return {
        "id": number,
        "at": rfc3339(event.at),
        "kind": event.kind,
        "from_state": event.from_state,
        "to_state": event.to_state,
        "actor": actor_name(event.actor),
        "detail": detail_of(event),
    }


def actor_name(actor: str) -> str:
    """The actor without the host and the process of a worker, which are not the owner's business.

    The same process always has the same name.
    """
    if actor in PARTS:
        return actor
    return f"worker-{hashlib.sha256(actor.encode()).hexdigest()[:8]}"


def detail_of(event: Event) -> str | None:
    """The detail, likewise without a host."""
    return event.detail and LOST.sub(" stopped renewing its lease", event.detail)
