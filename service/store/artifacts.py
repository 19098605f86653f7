"""Artifacts as the API and recovery see them: asked for, read, published again, dropped.

An artifact is the answer to one question about a job, (kind, arguments), that takes time to
compute. It never changes, so it is computed once and kept until its room is needed; then it is
computed again for whoever asks. `service.store.artifact_claims` is the side of the worker.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    bindparam,
    case,
    delete,
    func,
    null,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.common.errors import TooBusy
from service.store import jobs, leases
from service.store.artifact_claims import LOST, problem_json
from service.store.clock import DATABASE_TIME
from service.store.owners import owner_of
from service.store.publishing import publish_after_commit
from service.store.states import FRUITLESS_CLAIMS
from service.store.tables import Artifact, OwnedKey

# Questions of one owner that may wait for their answers at the same time.
MAX_UNFINISHED = 100
# A failure is the answer for this long; whoever asks later has it computed again.
FAILURE_SECONDS = 3600.0
# An answer is kept at least this long, so that whoever has waited for it can read it.
SPARED_SECONDS = 60.0

_TABLE = Artifact.__table__
# Both have the same words for it, but SQLAlchemy has no general ones.
_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def as_text(arguments: Mapping[str, Any]) -> str:
    """Arguments as JSON in the one form by which equal ones are found."""
    return json.dumps(dict(arguments), sort_keys=True, separators=(",", ":"), allow_nan=False)


def find(
    session: Session, job_key: OwnedKey, kind: str, arguments: Mapping[str, Any]
) -> Artifact | None:
    """The artifact of this question as it is now; None where nobody has asked, or it was dropped.

    It has ended where its `state` is `succeeded` or `failed`.
    """
    values = {"of_job": job_key, "of_kind": kind, "of_arguments": as_text(arguments)}
    return session.scalars(_FIND, values).one_or_none()


def ask(
    session: Session,
    job_id: str,
    kind: str,
    arguments: Mapping[str, Any],
    *,
    request_id: str | None = None,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Artifact:
    """The artifact of this question, stored and published if nobody has asked before.

    Raises:
        JobNotFound: there is no such job any more.
        TooBusy: as many other questions of this owner wait as may.
    """
    job_key = jobs.hold(session, job_id)
    found = find(session, job_key, kind, arguments)
    if found is not None:
        return found
    owner = owner_of(session)
    if (session.scalar(_UNFINISHED, {"of_owner": owner}) or 0) >= MAX_UNFINISHED:
        raise TooBusy(
            f"{MAX_UNFINISHED} other answers are being computed for you; ask again when some of "
            "them are there"
        )
    insert = _INSERTS[session.get_bind().dialect.name](_TABLE)
    id: str | None = session.scalar(
        insert.values(
            id=f"art_{secrets.token_hex(12)}",
            owner=owner,
            job=job_key,
            kind=kind,
            arguments=as_text(arguments),
            request_id=request_id,
            created_at=now,
            published_at=now,
        )
        # Somebody else asks the same at the same time.
        .on_conflict_do_nothing(index_elements=["job", "kind", "arguments"])
        .returning(_TABLE.c.id)
    )
    if id is not None:
        publish_after_commit(session, id)
    asked = find(session, job_key, kind, arguments)
    assert asked is not None
    return asked


def bytes_of_owner(session: Session) -> int:
    """The bytes of all artifacts of the session's owner, which count for what they store."""
    return int(session.scalar(_BYTES_OF_OWNER, {"of_owner": owner_of(session)}) or 0)


def free_lost_leases(
    session: Session,
    *,
    lease_seconds: float,
    limit: int = 100,
    now: ColumnElement[float] = DATABASE_TIME,
) -> list[str]:
    """Takes artifacts from workers whose lease ran out and returns their ids.

    They are queued again, due for a message at once; one that has lost three workers has failed.
    """
    values = {"lease_seconds": lease_seconds, "at_most": limit}
    return [row.id for row in session.execute(_free(now), values)]


def publish_again(
    session: Session,
    *,
    republish_seconds: float,
    limit: int = 100,
    now: ColumnElement[float] = DATABASE_TIME,
) -> list[str]:
    """Has the oldest queued artifacts without a recent message published again; returns their ids.

    They are marked as published now; their messages are sent after the commit.
    """
    values = {"republish_seconds": republish_seconds, "at_most": limit}
    return leases.publish_marked(session, _mark_published(now), values)


def drop(
    session: Session,
    *,
    max_bytes: int,
    limit: int = 100,
    now: ColumnElement[float] = DATABASE_TIME,
) -> int:
    """Drops old failures, and the oldest answers while all take more than `max_bytes`.

    Returns the number of those that were dropped, at most `limit` answers; the next call
    continues.
    """
    failed = session.execute(_forget_failures(now), {"at_most": limit}).all()
    surplus = int(session.scalar(_BYTES) or 0) - max_bytes
    keys: list[int] = []
    if surplus > 0:
        for pk, size in session.execute(_oldest_ended(now), {"at_most": limit}):
            if surplus <= 0:
                break
            keys.append(pk)
            surplus -= size
    if keys:
        session.execute(delete(_TABLE).where(_TABLE.c.pk.in_(keys)))
    return len(failed) + len(keys)


_a = _TABLE.c
_FIND = (
    select(Artifact)
    .where(
        Artifact.job == bindparam("of_job"),
        Artifact.kind == bindparam("of_kind"),
        Artifact.arguments == bindparam("of_arguments"),
    )
    .execution_options(populate_existing=True)
)
_UNFINISHED = select(func.count()).where(
    Artifact.owner == bindparam("of_owner"), Artifact.finished_at.is_(None)
)
_BYTES_OF_OWNER = select(func.sum(Artifact.size)).where(Artifact.owner == bindparam("of_owner"))
_BYTES = select(func.sum(Artifact.size))


@lru_cache(maxsize=16)
def _free(now: ColumnElement[float]) -> Any:
    given_up = _a.attempt >= FRUITLESS_CLAIMS
    return (
        _oldest("running", leases.lost(_a, now))
        .values(
            state=case((given_up, "failed"), else_="queued"),
            problem=case((given_up, problem_json(LOST))),
            finished_at=case((given_up, now)),
            lease_until=null(),
            published_at=null(),
        )
        .returning(_a.id)
    )


@lru_cache(maxsize=16)
def _mark_published(now: ColumnElement[float]) -> Any:
    return _oldest("queued", leases.quiet(_a, now)).values(published_at=now).returning(_a.pk, _a.id)


def _oldest(state: str, condition: ColumnElement[bool]) -> Update:
    """An update of the oldest `at_most` artifacts in `state` that meet the condition."""
    # The first condition leads to the small index of what is not finished.
    return leases.oldest(_TABLE, _a.finished_at.is_(None), _a.state == state, condition)


@lru_cache(maxsize=16)
def _forget_failures(now: ColumnElement[float]) -> Any:
    old = select(_a.pk).where(_a.state == "failed", _a.finished_at < now - FAILURE_SECONDS)
    return (
        delete(_TABLE)
        .where(_a.pk.in_(old.order_by(_a.finished_at).limit(bindparam("at_most"))))
        .returning(_a.pk)
    )


@lru_cache(maxsize=16)
def _oldest_ended(now: ColumnElement[float]) -> Select[int, int]:
    return (
        select(_a.pk, _a.size)
        .where(_a.finished_at < now - SPARED_SECONDS)
        .order_by(_a.finished_at)
        .limit(bindparam("at_most"))
    )
