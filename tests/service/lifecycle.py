"""Steps in the life of a job, as a worker takes them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Double, literal
from sqlalchemy.orm import Session, sessionmaker

from engine.inference import preprocessing_of
from engine.spec import JobSpec
from engine.training.state import HistoryRow
from service.store import claims, events, history, jobs, parameters, preprocessing
from service.store.claims import Claim
from service.store.tables import Job

LEASE = 20.0


def rows(start: int, stop: int) -> list[HistoryRow]:
    """A row for each step, with a loss from which the step can be read."""
    return [HistoryRow(k, 1.0 / (k + 1), 0.5, None, None, 0.1, 2.0) for k in range(start, stop)]


def advance(
    sessions: sessionmaker[Session], claim: Claim, start: int, stop: int, **options: Any
) -> str | None:
    """Records progress from one step to another, with a checkpoint."""
    given: dict[str, Any] = {
        "rows": rows(start, stop),
        "seconds": 0.5,
        "lease_seconds": LEASE,
        "checkpoint": f"state {stop}".encode(),
    } | options
    with sessions.begin() as session:
        desired = claims.record_progress(session, claim, step=stop, previous_step=start, **given)
        preprocessing.store(session, claim.pk, document(claim.spec))
        return desired


@cache
def document(spec: str) -> str:
    """What the model of a specification remembers of its data."""
    return preprocessing_of(JobSpec.model_validate_json(spec)).to_json()


def finish(sessions: sessionmaker[Session], claim: Claim, spec: JobSpec) -> str:
    """Takes a claimed job to its end in one transaction."""
    steps = spec.training.steps
    numbers = np.linspace(-1, 1, spec.parameters())
    with sessions.begin() as session:
        claims.record_progress(
            session,
            claim,
            step=steps,
            previous_step=claim.step,
            rows=rows(claim.step, steps),
            seconds=0.5,
            lease_seconds=LEASE,
            checkpoint=None,
        )
        preprocessing.store(session, claim.pk, document(claim.spec))
        return claims.succeed(
            session, claim, step=steps, packed=parameters.pack(spec.sizes(), numbers)
        )


def at(seconds: float) -> ColumnElement[float]:
    """A clock that stands still, in place of the database's."""
    return literal(seconds, Double())


def job(sessions: sessionmaker[Session], id: str) -> Job:
    with sessions.begin() as session:
        return jobs.get(session, id)


def kinds(sessions: sessionmaker[Session], id: str) -> list[str]:
    """The kinds of a job's events, in order."""
    with sessions.begin() as session:
        pk = jobs.get(session, id).pk
        return [event.kind for event in events.of_job(session, pk)]


def steps(sessions: sessionmaker[Session], id: str) -> list[int]:
    """The steps in a job's history, in order."""
    with sessions.begin() as session:
        pk = jobs.get(session, id).pk
        return [row.step for row in history.read(session, pk, after_step=-1, limit=100_000)]
