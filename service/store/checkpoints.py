"""Checkpoints: everything needed to resume with bit-identical results.

The newest two are kept to resume from, the second in case the first is damaged. Retained ones
are kept for looking back, as far as a job has room for them. A job that failed or was cancelled
keeps the newest one only.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Insert, bindparam, delete, insert, select
from sqlalchemy.orm import Session

from engine.training.state import TrainingState
from service.store import checkpoint_format, tables
from service.store.clock import DATABASE_TIME
from service.store.tables import OwnedKey

log = logging.getLogger(__name__)

MAX_RETAINED = 200
# Those that a job keeps beside the retained ones: the newest two, and that of step 0.
BESIDE = 3

_TABLE = tables.Checkpoint.__table__


class StoredCheckpoint(NamedTuple):
    """A checkpoint as it was read; `intact` tells whether it still is as it was written."""

    step: int
    data: bytes
    sha256: str

    @property
    def intact(self) -> bool:
        return hashlib.sha256(self.data).hexdigest() == self.sha256


def retained_every(
    steps: int, checkpoint_every: int, *, bytes_each: int, bytes_per_job: int
) -> int | None:
    """The multiple of `checkpoint_every` at which a job's checkpoints are retained.

    `checkpoint_every` itself, unless that would retain more than 200 over the whole run or more
    than `bytes_per_job` has room for. None where there is no room for any; the newest two, which
    the job resumes from, are kept whatever they take.
    """
    most = min(MAX_RETAINED, bytes_per_job // bytes_each - BESIDE)
    if most < 1:
        return None
    return checkpoint_every * max(1, math.ceil(steps / checkpoint_every / most))


def add(
    session: Session,
    job_key: OwnedKey,
    *,
    step: int,
    data: bytes,
    retained: bool,
    now: ColumnElement[float] = DATABASE_TIME,
) -> None:
    """Writes the checkpoint of `step` and drops those that are no longer needed."""
    sha256 = hashlib.sha256(data).hexdigest()
    session.execute(
        _insert(now),
        {"job": job_key, "step": step, "data": data, "sha256": sha256, "retained": retained},
    )
    session.execute(_PRUNE, {"of_job": job_key})


def keep(
    session: Session,
    job_key: OwnedKey,
    retained: Mapping[int, bytes],
    now: ColumnElement[float] = DATABASE_TIME,
) -> None:
    """Writes checkpoints for looking back, by step, in one statement."""
    if retained:
        session.execute(
            _insert(now),
            [
                {
                    "job": job_key,
                    "step": step,
                    "data": data,
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "retained": True,
                }
                for step, data in retained.items()
            ],
        )


def keep_newest(session: Session, *job_keys: int) -> None:
    """Drops all checkpoints but the newest of jobs that will not go on."""
    if job_keys:
        session.execute(_KEEP_NEWEST, [{"of_job": job_key} for job_key in job_keys])


def newest_first(
    session: Session, job_key: OwnedKey, at_most: int | None = None, at_least: int = 0
) -> Iterator[StoredCheckpoint]:
    """The checkpoints of a job between these steps, each read only when asked for.

    The caller takes the first that is `intact`.
    """
    for step in session.scalars(_STEPS, {"of_job": job_key}).all():
        if step < at_least or (at_most is not None and step > at_most):
            continue
        row = session.execute(_LOAD, {"of_job": job_key, "at_step": step}).one()
        yield StoredCheckpoint(*row)


def newest_state(
    session: Session, job_key: OwnedKey, at_most: int | None = None, at_least: int = 0
) -> TrainingState | None:
    """The newest intact state of a job between these steps; None where there is none."""
    for found in newest_first(session, job_key, at_most, at_least):
        if found.intact:
            return checkpoint_format.decode(found.data)
        log.error("checkpoint is damaged, using the one before it", extra={"step": found.step})
    return None


def newest_step(session: Session, job_key: OwnedKey) -> int | None:
    """The step of the newest checkpoint; None where there is none."""
    return session.scalars(_STEPS.limit(1), {"of_job": job_key}).one_or_none()


_STEPS = (
    select(_TABLE.c.step).where(_TABLE.c.job == bindparam("of_job")).order_by(_TABLE.c.step.desc())
)
_LOAD = select(_TABLE.c.step, _TABLE.c.data, _TABLE.c.sha256).where(
    _TABLE.c.job == bindparam("of_job"), _TABLE.c.step == bindparam("at_step")
)
_PRUNE = delete(_TABLE).where(
    _TABLE.c.job == bindparam("of_job"),
    _TABLE.c.retained.is_(False),
    _TABLE.c.step < _STEPS.limit(1).offset(1).scalar_subquery(),
)
_KEEP_NEWEST = delete(_TABLE).where(
    _TABLE.c.job == bindparam("of_job"), _TABLE.c.step < _STEPS.limit(1).scalar_subquery()
)


@lru_cache(maxsize=16)
def _insert(now: ColumnElement[float]) -> Insert:
    return insert(_TABLE).values(created_at=now)
