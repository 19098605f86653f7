"""Idempotency keys: a POST that is sent again makes no second job."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import Delete

from service.common.errors import IdempotencyConflict
from service.store.clock import DATABASE_TIME
from service.store.owners import owner_of
from service.store.tables import IdempotencyKey, Job

KEPT_SECONDS = 24 * 3600
# How many expired keys one POST deletes.
CLEARED = 20


def find(
    session: Session,
    key: str,
    request_sha256: str,
    *,
    is_repeat: Callable[[Job], bool] = lambda job: False,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Job | None:
    """The job that this key has made within the last 24 hours.

    `is_repeat` is called where the hashes differ. It may still recognise the request that made
    the job, if that was hashed by a version with other fields.

    Other requests with the same key wait until the transaction ends: of parallel requests one
    makes the job and the others find it.

    Raises:
        IdempotencyConflict: the key was used for a different request.
    """
    if session.get_bind().dialect.name == "postgresql":
        # On SQLite a writing transaction has the database to itself already.
        session.execute(_LOCK, {"lock": f"{owner_of(session)} {key}"})
    row = session.execute(_find(now), {"owner": owner_of(session), "key": key}).one_or_none()
    if row is None:
        return None
    job, sha256 = row
    if sha256 != request_sha256 and not is_repeat(job):
        raise IdempotencyConflict(key)
    return job


def remember(
    session: Session,
    key: str,
    request_sha256: str,
    job: Job,
    *,
    now: ColumnElement[float] = DATABASE_TIME,
) -> None:
    """Ties the key to the job, in the transaction that `find` found nothing in."""
    own = {"owner": owner_of(session), "key": key}
    session.execute(_forget(now), own | {"at_most": CLEARED})
    session.execute(_insert(now), own | {"request_sha256": request_sha256, "job": job.pk})


_OWN = (IdempotencyKey.owner == bindparam("owner")) & (IdempotencyKey.key == bindparam("key"))
_LOCK = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("lock"), 0)))


@lru_cache(maxsize=16)
def _find(now: ColumnElement[float]) -> Select[Job, str]:
    return (
        select(Job, IdempotencyKey.request_sha256)
        .join(IdempotencyKey, IdempotencyKey.job == Job.pk)
        .where(
            _OWN,
            IdempotencyKey.created_at >= now - KEPT_SECONDS,
        )
    )


@lru_cache(maxsize=16)
def _forget(now: ColumnElement[float]) -> Delete:
    """Deletes this key, if it has expired, and some others that have expired."""
    expired = (
        select(IdempotencyKey.owner, IdempotencyKey.key)
        .where(IdempotencyKey.created_at < now - KEPT_SECONDS)
        .order_by(IdempotencyKey.created_at)
        .limit(bindparam("at_most"))
        .with_for_update(skip_locked=True)
        # As a plain subquery Postgres may run it once per row, and its limit then limits nothing.
        .cte("expired")
    )
    return delete(IdempotencyKey).where(
        _OWN
        | tuple_(IdempotencyKey.owner, IdempotencyKey.key).in_(
            select(expired.c.owner, expired.c.key)
        )
    )


@lru_cache(maxsize=16)
def _insert(now: ColumnElement[float]) -> Insert:
    return insert(IdempotencyKey.__table__).values(created_at=now)
