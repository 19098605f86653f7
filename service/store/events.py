"""The audit trail: one row per event in the life of a job."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Insert, bindparam, insert, select
from sqlalchemy.orm import Session

from service.store.clock import DATABASE_TIME
from service.store.states import JobState
from service.store.tables import Event, OwnedKey


class NewEvent(NamedTuple):
    """An event, before the database has given it a number and a time."""

    job: OwnedKey
    kind: str
    from_state: JobState | None
    to_state: JobState
    actor: str
    detail: str | None = None


def record(
    session: Session, *new_events: NewEvent, now: ColumnElement[float] = DATABASE_TIME
) -> None:
    """Writes events in the transaction of the change that they record."""
    if new_events:
        session.execute(_insert(now), [new_event._asdict() for new_event in new_events])


def of_job(
    session: Session, job_key: OwnedKey, *, after: int = 0, limit: int = 1000
) -> Sequence[Event]:
    """The events of a job after its first `after`, oldest first.

    A job's events are numbered by their place, from 1: their keys would tell about other jobs.
    """
    return session.scalars(_OF_JOB, {"job": job_key, "after": after, "limit": limit}).all()


_OF_JOB = (
    select(Event)
    .where(Event.job == bindparam("job"))
    .order_by(Event.pk)
    .offset(bindparam("after"))
    .limit(bindparam("limit"))
)


@lru_cache(maxsize=16)
def _insert(now: ColumnElement[float]) -> Insert:
    return insert(Event.__table__).values(at=now)
