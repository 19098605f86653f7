"""Deletes a job with everything that belongs to it."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from service.common.errors import InvalidTransition
from service.store import datasets, jobs, quotas
from service.store.states import TERMINAL
from service.store.tables import (
    Artifact,
    Charge,
    Checkpoint,
    Event,
    History,
    IdempotencyKey,
    Job,
    ModelPreprocessing,
    Result,
)

# Rows of history deleted per transaction: a million at once would keep others from writing for a
# second, and take as much room in SQLite's log as in its file, on a disk that may be full.
ROWS_AT_ONCE = 20_000


def shorten_history(session: Session, id: str) -> bool:
    """Deletes some of the history of a job that is to be deleted; returns whether more is left.

    Raises:
        JobNotFound, InvalidTransition: as `delete_job`.
    """
    job = _ended(session, id)
    found = session.scalars(_STEP, {"of_job": job.pk}).one_or_none()
    if found is not None:
        session.execute(_HISTORY, {"of_job": job.pk, "last": found})
    return found is not None


def delete_job(session: Session, id: str) -> None:
    """Deletes a job that has ended, after `shorten_history`: the rest of its history, its
    checkpoints, parameters, artifacts, events and keys; and its data set, if that was deleted
    before and no other job was trained with it.

    Jobs that vary it lose their `parent_id`.

    Raises:
        JobNotFound: no job has this id.
        InvalidTransition: it has not ended.
    """
    job = _ended(session, id)
    # Before the total of the owner, as in all transactions, so that no two wait for each other.
    datasets.lock(session, job.dataset)
    quotas.give_back(session, job.pk)
    for statement in _PARTS:
        session.execute(statement, {"of_job": job.pk})
    session.execute(_ORPHAN, {"of_id": id})
    session.execute(_JOB, {"of_job": job.pk})
    datasets.release(session, job.dataset)


def _ended(session: Session, id: str) -> Job:
    job = jobs.get(session, id, for_update=True)
    if job.state not in TERMINAL:
        wanted = "deleted before it has ended; cancel it first"
        raise InvalidTransition(id, jobs.shown_state(job), wanted)
    return job


_history = History.__table__
_STEP = (
    select(_history.c.step)
    .where(_history.c.job == bindparam("of_job"))
    .order_by(_history.c.step)
    .limit(1)
    .offset(ROWS_AT_ONCE)
)
_HISTORY = delete(_history).where(
    _history.c.job == bindparam("of_job"), _history.c.step < bindparam("last")
)
_PARTS = tuple(
    delete(table).where(table.c.job == bindparam("of_job"))
    for table in (
        History.__table__,
        Charge.__table__,
        Checkpoint.__table__,
        Result.__table__,
        ModelPreprocessing.__table__,
        Artifact.__table__,
        Event.__table__,
        IdempotencyKey.__table__,
    )
)
_jobs = Job.__table__
_ORPHAN = update(_jobs).where(_jobs.c.parent_id == bindparam("of_id")).values(parent_id=None)
_JOB = delete(_jobs).where(_jobs.c.pk == bindparam("of_job"))
