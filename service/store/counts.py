"""Counts over all jobs, for the metrics."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.clock import DATABASE_TIME
from service.store.states import STATES, JobState
from service.store.tables import Event, Job, OwnerTotals


class Counts(NamedTuple):
    """`oldest_queued_seconds`: how long the longest waiting job has been queued; 0 without one."""

    jobs: dict[JobState, int]
    oldest_queued_seconds: float
    leases_lost: int


def read(session: Session) -> Counts:
    """Counts jobs and lost leases, and measures the longest wait; all from indexes but the last.

    The leases that jobs have lost which are deleted by now are counted as well.
    """
    counted = dict(session.execute(_JOBS).all())
    return Counts(
        jobs={state: counted.get(state, 0) for state in STATES},
        oldest_queued_seconds=max(0.0, session.scalar(_OLDEST_QUEUED) or 0.0),
        leases_lost=(session.scalar(_LEASES_LOST) or 0) + (session.scalar(_LOST_BEFORE) or 0),
    )


_JOBS = select(Job.state, func.count()).group_by(Job.state)
# Since it was queued: a job may have trained for hours before it was drained or resumed.
_OLDEST_QUEUED = select(DATABASE_TIME - func.min(Job.updated_at)).where(Job.state == "queued")
_LEASES_LOST = select(func.count()).where(Event.kind == "lease_lost")
_LOST_BEFORE = select(func.sum(OwnerTotals.leases_lost))
