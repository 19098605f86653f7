"""Deletes a job with everything that belongs to it."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, update
from sqlalchemy.orm import Session

from service.common.errors import InvalidTransition
from service.store import jobs
from service.store.states import TERMINAL
from service.store.tables import Checkpoint, Event, History, IdempotencyKey, Job, Result

# Steps of history that one statement deletes: a million rows at once would take a busy Postgres
# longer than a statement may.
STEPS_AT_ONCE = 100_000


def delete_job(session: Session, id: str) -> None:
    """Deletes a job that has ended: its history, checkpoints, parameters, events and keys.

    Jobs that vary it lose their `parent_id`.

    Raises:
        JobNotFound: no job has this id.
        InvalidTransition: it has not ended.
    """
    job = jobs.get(session, id, for_update=True)
    if job.state not in TERMINAL:
        wanted = "deleted before it has ended; cancel it first"
        raise InvalidTransition(id, jobs.shown_state(job), wanted)
    for start in range(0, job.steps, STEPS_AT_ONCE):
        steps = {"of_job": job.pk, "start": start, "stop": start + STEPS_AT_ONCE}
        session.execute(_HISTORY, steps)
    for statement in _PARTS:
        session.execute(statement, {"of_job": job.pk})
    session.execute(_ORPHAN, {"of_id": id})
    session.execute(_JOB, {"of_job": job.pk})


_history = History.__table__
_HISTORY = delete(_history).where(
    _history.c.job == bindparam("of_job"),
    _history.c.step >= bindparam("start"),
    _history.c.step < bindparam("stop"),
)
_PARTS = tuple(
    delete(table).where(table.c.job == bindparam("of_job"))
    for table in (
        Checkpoint.__table__,
        Result.__table__,
        Event.__table__,
        IdempotencyKey.__table__,
    )
)
_jobs = Job.__table__
_ORPHAN = update(_jobs).where(_jobs.c.parent_id == bindparam("of_id")).values(parent_id=None)
_JOB = delete(_jobs).where(_jobs.c.pk == bindparam("of_job"))
