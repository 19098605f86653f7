"""What a person may ask of a job that is there: cancel, pause, resume.

A job that nobody runs obeys at once. A running one is given a wish (`desired_state`), which its
worker meets at the next step. Asking again for what is already so changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from service.common.errors import InvalidTransition
from service.store import events, jobs
from service.store.connections import DATABASE_TIME
from service.store.events import Happening
from service.store.tables import Job, State, Wish


class Standing(NamedTuple):
    """Where a job is and where it was told to go."""

    state: State
    wish: Wish | None = None


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

# What each request does where. None: it is so already. No entry: it is refused.
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
    """Queues a paused job again, or takes back the wish to pause a running one.

    A job that this queues counts as rung: the caller publishes its message after the commit.

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
    # Compare and set. When the set finds another standing than was read, a worker or another
    # request was faster; what was asked is then judged by the standing that they left.
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
            {"of_pk": job.pk, "from_state": standing.state, "from_wish": standing.wish},
        ).one_or_none()
        if changed is not None:
            happening = Happening(job.pk, change.kind, standing.state, change.to.state, actor)
            events.record(session, happening, now=now)
            return Answer(changed, changed=True)


@lru_cache(maxsize=64)
def _change(to: Standing, now: ColumnElement[float]) -> ReturningUpdate[Job]:
    values: dict[str, Any] = {"state": to.state, "desired_state": to.wish, "updated_at": now}
    if to == QUEUED:
        values["rung_at"] = now
    elif to == CANCELLED:
        values["finished_at"] = now
    return (
        update(Job)
        .where(
            Job.pk == bindparam("of_pk"),
            Job.state == bindparam("from_state"),
            Job.desired_state.is_not_distinct_from(bindparam("from_wish")),
        )
        .values(values)
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
