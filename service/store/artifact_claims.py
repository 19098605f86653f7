"""A worker's claim of an artifact: made once, renewed, released or ended.

As with jobs, each statement names its claim: `attempt` grows with every claim, so that a worker
that was presumed dead changes nothing any more and gets `LeaseLost`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Update, bindparam, func, null, select, update
from sqlalchemy.orm import Session

from service.common.errors import LeaseLost
from service.store import datasets
from service.store.clock import DATABASE_TIME
from service.store.states import FRUITLESS_CLAIMS
from service.store.tables import Artifact, Job, OwnedKey

# What a row takes beside its data, about.
ROW_BYTES = 1024


class Problem(NamedTuple):
    """The answer to a question whose computation has failed, as problem details (RFC 9457).

    `pointer` is the place of the mistake where it is in the question.
    """

    status: int
    kind: str
    title: str
    detail: str
    pointer: str | None = None


LOST = Problem(
    500,
    "worker-lost",
    "The answer could not be computed",
    f"its worker was lost {FRUITLESS_CLAIMS} times while it computed the answer",
)


@dataclass(frozen=True, slots=True)
class ArtifactClaim:
    """Everything that a worker needs to compute an artifact and to prove that it is its own.

    `content` is the specification of the stored data set that the job's `spec` names, if any.
    """

    pk: int
    id: str
    owner: str
    request_id: str | None
    attempt: int
    kind: str
    arguments: dict[str, Any]
    job_key: OwnedKey
    job_id: str
    spec: str
    content: bytes | None


def claim_next(
    session: Session, *, lease_seconds: float, now: ColumnElement[float] = DATABASE_TIME
) -> ArtifactClaim | None:
    """Claims the artifact whose turn it is; None when nothing is queued.

    The turn is that of the owner who was served longest ago, and of that one the oldest question,
    so that a hundred questions of one owner hold up nobody else's first by more than one.
    """
    row = session.execute(_claim(now), {"lease_seconds": lease_seconds}).one_or_none()
    if row is None:
        return None
    job = session.execute(_JOB, {"of_pk": row.job}).one()
    return ArtifactClaim(
        pk=row.pk,
        id=row.id,
        owner=row.owner,
        request_id=row.request_id,
        attempt=row.attempt,
        kind=row.kind,
        arguments=json.loads(row.arguments),
        job_key=row.job,
        job_id=job.id,
        spec=job.spec,
        content=datasets.content_of_job(session, job.dataset),
    )


def renew_lease(
    session: Session,
    claim: ArtifactClaim,
    *,
    lease_seconds: float,
    now: ColumnElement[float] = DATABASE_TIME,
) -> None:
    """Renews the lease. Raises LeaseLost where the artifact is no longer this claim's."""
    _change(session, claim, lease_until=now + lease_seconds)


def succeed(
    session: Session,
    claim: ArtifactClaim,
    *,
    data: bytes,
    media_type: str,
    now: ColumnElement[float] = DATABASE_TIME,
) -> None:
    """Stores the answer. Raises LeaseLost where the artifact is no longer this claim's."""
    _change(
        session,
        claim,
        state="succeeded",
        data=data,
        media_type=media_type,
        size=ROW_BYTES + len(data),
        **_ended(now),
    )


def fail(
    session: Session,
    claim: ArtifactClaim,
    problem: Problem,
    *,
    now: ColumnElement[float] = DATABASE_TIME,
) -> None:
    """Stores a problem as the answer. Raises LeaseLost where it is no longer this claim's."""
    _change(session, claim, state="failed", problem=problem_json(problem), **_ended(now))


def release(session: Session, claim: ArtifactClaim) -> None:
    """Queues the artifact again, due for a message, as if it had never been claimed.

    Raises LeaseLost where it is no longer this claim's.
    """
    _change(
        session,
        claim,
        state="queued",
        lease_until=null(),
        published_at=null(),
        attempt=claim.attempt - 1,
    )


def problem_json(problem: Problem) -> str:
    return json.dumps(problem._asdict())


def _change(session: Session, claim: ArtifactClaim, **values: Any) -> None:
    changed = session.execute(_held().values(**values), {"of_pk": claim.pk, "of": claim.attempt})
    if changed.one_or_none() is None:
        raise LeaseLost(claim.id, claim.attempt)


def _ended(now: ColumnElement[float]) -> dict[str, Any]:
    return {"lease_until": null(), "finished_at": now}


_a = Artifact.__table__.c
_JOB = select(Job.__table__.c.id, Job.__table__.c.spec, Job.__table__.c.dataset).where(
    Job.__table__.c.pk == bindparam("of_pk")
)


def _held() -> Any:
    return (
        update(Artifact.__table__)
        .where(_a.pk == bindparam("of_pk"), _a.attempt == bindparam("of"), _a.state == "running")
        .returning(_a.pk)
    )


@lru_cache(maxsize=16)
def _claim(now: ColumnElement[float]) -> Any:
    earlier = Artifact.__table__.alias("earlier")
    served_at = (
        select(func.max(earlier.c.started_at)).where(earlier.c.owner == _a.owner).scalar_subquery()
    )
    chosen = (
        select(_a.pk)
        .where(_a.finished_at.is_(None), _a.state == "queued")
        .order_by(func.coalesce(served_at, 0.0), _a.pk)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    statement: Update = update(Artifact.__table__)
    return (
        statement.where(_a.pk.in_(select(chosen.c.pk)), _a.state == "queued")
        .values(
            state="running",
            attempt=_a.attempt + 1,
            lease_until=now + bindparam("lease_seconds"),
            started_at=now,
        )
        .returning(_a.pk, _a.id, _a.owner, _a.request_id, _a.attempt, _a.kind, _a.arguments, _a.job)
    )
