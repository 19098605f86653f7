"""Jobs as clients see them: created, read, listed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, insert, select
from sqlalchemy.orm import Session, defer
from sqlalchemy.sql.dml import ReturningInsert

from engine.spec import JobSpec
from engine.spec.datasets import Stored
from service.common.errors import JobNotFound
from service.store import cursors, datasets, events
from service.store.clock import DATABASE_TIME
from service.store.events import NewEvent
from service.store.owners import owner_of
from service.store.publishing import publish_after_commit
from service.store.states import JobState
from service.store.tables import Job, OwnedKey

T = TypeVar("T")

# A running job whose pause or cancel was requested is shown as what it is becoming.
ShownState = Literal[JobState, "pausing", "cancelling"]

ID = re.compile(r"job_[0-9a-f]{24}")
PAGES = cursors.NewestFirst(Job, "jobs", "job")


def create(
    session: Session,
    spec: JobSpec,
    *,
    text: str | None = None,
    actor: str = "api",
    parent_id: str | None = None,
    request_id: str | None = None,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Job:
    """Stores a queued job and its first event.

    Its message is published after the commit. `text` is the specification as JSON, from a caller
    that has serialised it already. `request_id` names the request in every log line about the job.

    Raises:
        JobNotFound: there is no job `parent_id`.
        DatasetNotFound: there is no such stored data set any more.
    """
    dataset = spec.dataset
    if parent_id is not None:
        # Its deletion waits until the child is stored, and then finds it.
        hold(session, parent_id)
    job = session.scalars(
        _insert(now),
        {
            "id": f"job_{secrets.token_hex(12)}",
            "owner": owner_of(session),
            "request_id": request_id,
            "parent_id": parent_id,
            "dataset": datasets.hold(session, dataset.id) if isinstance(dataset, Stored) else None,
            "name": spec.name,
            "spec": spec.model_dump_json() if text is None else text,
            "steps": spec.training.steps,
            "score_name": spec.loss.score_name,
        },
    ).one()
    events.record(session, NewEvent(job.pk, "created", None, "queued", actor), now=now)
    publish_after_commit(session, job.id)
    return job


def get(session: Session, id: str, *, for_update: bool = False) -> Job:
    """The job as it is now; `for_update` keeps others from changing it or referring to it.

    Raises:
        JobNotFound: no job has this id, which may be any text.
    """
    return _found(session, _GET.with_for_update() if for_update else _GET, id)


def key(session: Session, id: str) -> OwnedKey:
    """The job's key in other tables, without reading the megabytes that its row may hold.

    Raises:
        JobNotFound: no job has this id, which may be any text.
    """
    return _found(session, _KEY, id)


def hold(session: Session, id: str) -> OwnedKey:
    """As `key`; the job is not deleted before the end of the transaction.

    Raises:
        JobNotFound: no job has this id.
    """
    return _found(session, _KEY.with_for_update(read=True, key_share=True), id)


class Page(NamedTuple):
    """Jobs, newest first, without their specifications; where the next page starts."""

    items: Sequence[Job]
    next_cursor: str | None


def page(
    session: Session,
    *,
    limit: int,
    cursor: str | None = None,
    state: ShownState | None = None,
    name: str | None = None,
    id_prefix: str | None = None,
) -> Page:
    """A page of the jobs with this shown state, name and beginning of the id, newest first.

    Raises:
        InvalidCursor: `cursor` is not one that a page gave.
    """
    # Specifications may hold megabytes of rows each.
    query = select(Job).options(defer(Job.spec, raiseload=True)).order_by(*PAGES.order)
    if cursor is not None:
        query = query.where(PAGES.after(cursor))
    if state is not None:
        query = query.where(*_shown_in(state))
    if name is not None:
        query = query.where(Job.name == name)
    if id_prefix is not None:
        query = query.where(Job.id.startswith(id_prefix, autoescape=True))
    # One more than asked for tells whether there is a next page.
    items = session.scalars(query.limit(limit + 1)).all()
    next_cursor = PAGES.cursor(items[limit - 1]) if len(items) > limit else None
    return Page(items[:limit], next_cursor)


def shown_state(job: Job) -> ShownState:
    """The state as the API shows it."""
    if job.desired_state is None:
        return job.state
    return "pausing" if job.desired_state == "paused" else "cancelling"


def _found(session: Session, query: Select[T], id: str) -> T:
    # A text that cannot be an id is not looked up: Postgres takes a NUL in it as an error.
    found = session.scalars(query, {"id": id}).one_or_none() if ID.fullmatch(id) else None
    if found is None:
        raise JobNotFound(id)
    return found


def _shown_in(state: ShownState) -> tuple[ColumnElement[bool], ...]:
    if state == "pausing":
        return Job.state == "running", Job.desired_state == "paused"
    if state == "cancelling":
        return Job.state == "running", Job.desired_state == "cancelled"
    return Job.state == state, Job.desired_state.is_(None)


# A job that the session has read before is read again: it may have changed meanwhile.
_GET = select(Job).where(Job.id == bindparam("id")).execution_options(populate_existing=True)
_KEY = select(Job.pk).where(Job.id == bindparam("id"))


@lru_cache(maxsize=16)
def _insert(now: ColumnElement[float]) -> ReturningInsert[Job]:
    return insert(Job).values(created_at=now, updated_at=now, published_at=now).returning(Job)
