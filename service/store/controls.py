"""Cancel, pause and resume.

A job that nobody runs obeys at once. On a running one the request is recorded (`desired_state`),
and its worker obeys at the next step. Requesting what is so already changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from service.common.errors import InvalidTransition
from service.store import events, jobs, quotas
from service.store.clock import DATABASE_TIME
from service.store.events import NewEvent
from service.store.publishing import publish_after_commit
from service.store.states import DesiredState, JobState
from service.store.tables import Job


class Standing(NamedTuple):
    """The state of a job, and the state that was requested for it while it runs."""

    state: JobState
    desired: DesiredState | None = None


class Change(NamedTuple):
    """The standing to reach, and the kind of the event that tells of it."""

    to: Standing
    kind: str


class Answer(NamedTuple):
    """The job as it is after a request, and whether the request changed it."""

    job: Job
    changed: bool


QUEUED = Standing("queued")
RUNNING = Standing("running")
PAUSING = Standing("running", "paused")
CANCELLING = Standing("running", "cancelled")
PAUSED = Standing("paused")
CANCELLED = Standing("cancelled")

# What each request changes. None: it is so already. No entry: the request is refused.
Rules = Mapping[Standing, Change | None]

CANCEL: Rules = {
    QUEUED: Change(CANCELLED, "cancelled"),
    PAUSED: Change(CANCELLED, "cancelled"),
    RUNNING: Change(CANCELLING, "cancel_requested"),
    PAUSING: Change(CANCELLING, "cancel_requested"),
    CANCELLING: None,
    CANCELLED: None,
}
PAUSE: Rules = {
    QUEUED: Change(PAUSED, "paused"),
    RUNNING: Change(PAUSING, "pause_requested"),
    PAUSING: None,
    PAUSED: None,
}
RESUME: Rules = {
    PAUSED: Change(QUEUED, "resumed"),
    PAUSING: Change(RUNNING, "pause_withdrawn"),
    QUEUED: None,
    RUNNING: None,
}


def request_cancel(
    session: Session, id: str, actor: str = "api", now: ColumnElement[float] = DATABASE_TIME
) -> Answer:
    """Cancels the job; once this is accepted it always ends `cancelled`.

    Raises:
        JobNotFound: no job has this id.
        InvalidTransition: it has succeeded or failed.
    """
    return _request(session, id, CANCEL, "cancelled", actor, now)


def request_pause(
    session: Session, id: str, actor: str = "api", now: ColumnElement[float] = DATABASE_TIME
) -> Answer:
    """Pauses the job; finishing beats pausing.

    Raises:
        JobNotFound: no job has this id.
        InvalidTransition: it has ended or is being cancelled.
    """
    return _request(session, id, PAUSE, "paused", actor, now)


def request_resume(
    session: Session, id: str, actor: str = "api", now: ColumnElement[float] = DATABASE_TIME
) -> Answer:
    """Queues a paused job again, or withdraws the requested pause of a running one.

    The message of a job that this queues is published after the commit.

    Raises:
        JobNotFound: no job has this id.
        InvalidTransition: it has ended or is being cancelled.
    """
    return _request(session, id, RESUME, "resumed", actor, now)


def _request(
    session: Session,
    id: str,
    rules: Rules,
    wanted: str,
    actor: str,
    now: ColumnElement[float],
) -> Answer:
    # Compare and set. If the job has changed since it was read, a worker or another request was
    # faster, and this request is judged again by what they left.
    while True:
        job = jobs.get(session, id)
        standing = Standing(job.state, job.desired_state)
        if standing not in rules:
            raise InvalidTransition(id, jobs.shown_state(job), wanted)
        change = rules[standing]
        if change is None:
            return Answer(job, changed=False)
        changed = session.scalars(
            _change(change.to, now),
            {"of_pk": job.pk, "from_state": standing.state, "from_desired": standing.desired},
        ).one_or_none()
        if changed is not None:
            if change.to == QUEUED:
                publish_after_commit(session, id)
            elif change.to == CANCELLED:
                quotas.settle(session, job.pk)
            new_event = NewEvent(job.pk, change.kind, standing.state, change.to.state, actor)
            events.record(session, new_event, now=now)
            return Answer(changed, changed=True)


@lru_cache(maxsize=64)
def _change(to: Standing, now: ColumnElement[float]) -> ReturningUpdate[Job]:
    values: dict[str, Any] = {"state": to.state, "desired_state": to.desired, "updated_at": now}
    if to == QUEUED:
        values["published_at"] = now
    elif to == CANCELLED:
        values["finished_at"] = now
    return (
        update(Job)
        .where(
            Job.pk == bindparam("of_pk"),
            Job.state == bindparam("from_state"),
            Job.desired_state.is_not_distinct_from(bindparam("from_desired")),
        )
        .values(values)
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
