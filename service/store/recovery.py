"""Recovery: frees the jobs of lost workers and publishes again for jobs that wait.

Each is one statement that compares and sets, so that two recoveries at once do no harm.
"""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import ColumnElement, Update, case, null
from sqlalchemy.orm import Session

from service.store import events, leases, quotas
from service.store.claim_statements import STATE_AFTER_RELEASE, Statement, jobs, left
from service.store.clock import DATABASE_TIME
from service.store.events import NewEvent
from service.store.states import FRUITLESS_CLAIMS, TERMINAL, JobState
from service.store.tables import Job

WORKER_LOST = f"its worker was lost {FRUITLESS_CLAIMS} times without a checkpoint in between"


def free_lost_leases(
    session: Session,
    *,
    lease_seconds: float,
    limit: int = 100,
    now: ColumnElement[float] = DATABASE_TIME,
) -> list[str]:
    """Takes jobs from workers whose lease ran out and returns their ids.

    A job becomes what was requested for it, or is queued again, due for a message at once. One
    that was claimed three times without a checkpoint in between fails as `worker_lost`.
    """
    rows = session.execute(_free(now), {"lease_seconds": lease_seconds, "at_most": limit}).all()
    ended = [row.pk for row in rows if row.state in TERMINAL]
    quotas.settle(session, *ended)
    events.record(
        session,
        *(
            NewEvent(
                row.pk,
                "lease_lost",
                "running",
                row.state,
                "recovery",
                f"attempt {row.attempt} stopped renewing its lease",
            )
            for row in rows
        ),
        now=now,
    )
    return [row.id for row in rows]


def publish_again(
    session: Session,
    *,
    republish_seconds: float,
    limit: int = 100,
    now: ColumnElement[float] = DATABASE_TIME,
) -> list[str]:
    """Has the oldest queued jobs without a recent message published again; returns their ids.

    They are marked as published now; their messages are sent after the commit.
    """
    values = {"republish_seconds": republish_seconds, "at_most": limit}
    return leases.publish_marked(session, _mark_published(now), values)


def _oldest(state: JobState, condition: ColumnElement[bool]) -> Update:
    """An update of the oldest `at_most` jobs in `state` that meet the condition."""
    return leases.oldest(Job.__table__, jobs.state == state, condition)


@lru_cache(maxsize=16)
def _free(now: ColumnElement[float]) -> Statement:
    given_up = jobs.desired_state.is_(None) & (jobs.fruitless_claims >= FRUITLESS_CLAIMS)
    ended = given_up | (jobs.desired_state == "cancelled")
    return (
        _oldest("running", leases.lost(jobs, now))
        .values(
            state=case((given_up, "failed"), else_=STATE_AFTER_RELEASE),
            error_code=case((given_up, "worker_lost")),
            error_detail=case((given_up, WORKER_LOST)),
            error_step=case((given_up, jobs.step)),
            finished_at=case((ended, now)),
            published_at=null(),
            **left(now),
        )
        .returning(jobs.pk, jobs.id, jobs.state, jobs.attempt)
    )


@lru_cache(maxsize=16)
def _mark_published(now: ColumnElement[float]) -> Statement:
    return (
        _oldest("queued", leases.quiet(jobs, now))
        .values(published_at=now)
        .returning(jobs.pk, jobs.id)
    )
