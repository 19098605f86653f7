"""What recovery does: frees jobs whose worker is gone, and finds those to ring again.

Each is one statement that compares and sets, so two of them at once do no harm.
"""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import ColumnElement, Update, bindparam, case, null, or_, select, update
from sqlalchemy.orm import Session

from service.store import events
from service.store.claim_statements import WHERE_THE_WISH_POINTS, Statement, jobs, left
from service.store.connections import DATABASE_TIME
from service.store.events import Happening
from service.store.tables import FRUITLESS_CLAIMS, Job, State

# A clock may be set back this much, as time servers do, without all leases counting as lost.
CLOCK_SLACK_SECONDS = 5

WORKER_LOST = f"its worker was lost {FRUITLESS_CLAIMS} times without a checkpoint in between"


def free_lost_leases(
    session: Session,
    *,
    lease_seconds: float,
    limit: int = 100,
    now: ColumnElement[float] = DATABASE_TIME,
) -> list[str]:
    """Takes jobs from workers whose lease ran out and returns their ids.

    A job goes where its wish points, else back to the queue, to be rung at once; one that was
    claimed three times without a checkpoint in between fails as `worker_lost`. A lease further
    in the future than a lease is long was given by a clock that has been set back since, and
    counts as run out too.
    """
    rows = session.execute(_free(now), {"lease_seconds": lease_seconds, "at_most": limit}).all()
    events.record(
        session,
        *(
            Happening(
                row.pk,
                "lease_lost",
                "running",
                row.state,
                "recovery",
                f"attempt {row.attempt} by {row.worker} was not heard of any more",
            )
            for row in rows
        ),
        now=now,
    )
    return [row.id for row in rows]


def to_ring(
    session: Session,
    *,
    republish_seconds: float,
    limit: int = 100,
    now: ColumnElement[float] = DATABASE_TIME,
) -> list[str]:
    """Marks the oldest queued jobs that were not rung lately as rung and returns their ids.

    The caller publishes their messages after the commit.
    """
    rows = session.execute(
        _ring(now), {"republish_seconds": republish_seconds, "at_most": limit}
    ).all()
    return [row.id for row in sorted(rows, key=lambda row: row.pk)]


def _oldest(state: State, condition: ColumnElement[bool]) -> Update:
    """An update of the oldest `at_most` jobs in `state` that meet the condition.

    On Postgres it skips rows that somebody else is changing right now, and asks again for what
    it had to wait for; the next pass finds what is left.
    """
    chosen = (
        select(jobs.pk)
        .where(jobs.state == state, condition)
        .order_by(jobs.pk)
        .limit(bindparam("at_most"))
        .with_for_update(skip_locked=True)
        # As a plain subquery Postgres may run it once a row, and its limit then limits nothing.
        .cte("chosen")
    )
    return update(Job.__table__).where(
        jobs.pk.in_(select(chosen.c.pk)), jobs.state == state, condition
    )


@lru_cache(maxsize=16)
def _free(now: ColumnElement[float]) -> Statement:
    lost = or_(
        jobs.lease_until < now,
        jobs.lease_until > now + bindparam("lease_seconds") + CLOCK_SLACK_SECONDS,
    )
    given_up = jobs.desired_state.is_(None) & (jobs.fruitless_claims >= FRUITLESS_CLAIMS)
    ended = given_up | (jobs.desired_state == "cancelled")
    return (
        _oldest("running", lost)
        .values(
            state=case((given_up, "failed"), else_=WHERE_THE_WISH_POINTS),
            error_code=case((given_up, "worker_lost")),
            error_detail=case((given_up, WORKER_LOST)),
            error_step=case((given_up, jobs.step)),
            finished_at=case((ended, now)),
            rung_at=null(),
            **left(now),
        )
        .returning(jobs.pk, jobs.id, jobs.state, jobs.attempt, jobs.worker)
    )


@lru_cache(maxsize=16)
def _ring(now: ColumnElement[float]) -> Statement:
    quiet = or_(
        jobs.rung_at.is_(None),
        jobs.rung_at < now - bindparam("republish_seconds"),
        jobs.rung_at > now + CLOCK_SLACK_SECONDS,
    )
    return _oldest("queued", quiet).values(rung_at=now).returning(jobs.pk, jobs.id)
