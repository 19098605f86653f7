"""What the tables say about the service as a whole, for its metrics."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.db.models import STATES, Event, Job, State
from service.db.session import DATABASE_TIME


class Figures(NamedTuple):
    """`oldest_queued_seconds` is the age of the oldest job that waits, 0 when none does."""

    jobs: dict[State, int]
    oldest_queued_seconds: float
    leases_lost: int


def read(session: Session) -> Figures:
    """Counts, from indexes alone."""
    counted = dict(session.execute(_JOBS).all())
    return Figures(
        jobs={state: counted.get(state, 0) for state in STATES},
        oldest_queued_seconds=max(0.0, session.scalar(_OLDEST_QUEUED) or 0.0),
        leases_lost=session.scalar(_LEASES_LOST) or 0,
    )


_JOBS = select(Job.state, func.count()).group_by(Job.state)
_OLDEST_QUEUED = (
    select(DATABASE_TIME - Job.created_at).where(Job.state == "queued").order_by(Job.pk).limit(1)
)
_LEASES_LOST = select(func.count()).where(Event.kind == "lease_lost")
