"""A worker's hold on a job: claimed once, renewed by progress, given back or ended.

Each statement names the claim's fence. A worker that was thought dead and comes back finds that
its fence is no longer the job's, changes nothing and gets `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Case,
    ColumnElement,
    Integer,
    Text,
    bindparam,
    case,
    func,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from service.db import checkpoints, events, history, results
from service.db.events import Happening
from service.db.models import ErrorCode, Job, State, Wish
from service.db.results import Packed
from service.db.session import DATABASE_TIME
from service.errors import LeaseLost

if TYPE_CHECKING:
    from engine.train import HistoryRow

jobs = Job.__table__.c

Statement = ReturningUpdate[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker needs to train a job and to prove that the job is its own."""

    pk: int
    id: str
    fence: int
    attempt: int
    worker: str
    spec: str
    step: int
    trained_seconds: float


def claim(
    session: Session,
    id: str,
    *,
    worker: str,
    lease_seconds: float,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Claim | None:
    """Takes a queued job; None when it is not queued, whatever the reason."""
    row = session.execute(
        _claim(now), {"of_id": id, "by": worker, "lease_seconds": lease_seconds}
    ).one_or_none()
    if row is None:
        return None
    claim = Claim(**row._mapping)
    happening = Happening(
        claim.pk, "claimed", "queued", "running", worker, f"attempt {claim.attempt}"
    )
    events.record(session, happening, now=now)
    return claim


def record_progress(
    session: Session,
    claim: Claim,
    *,
    step: int,
    previous_step: int,
    rows: Sequence[HistoryRow],
    seconds: float,
    lease_seconds: float,
    checkpoint: bytes | None,
    retained: bool = False,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Wish | None:
    """Moves a job on from `previous_step` to `step` and renews its lease.

    Args:
        step: finished updates.
        previous_step: `step` of the progress before, of any claim.
        rows: the logged steps in between; the last one's numbers become the job's.
        seconds: time spent training since the progress before.
        checkpoint: the state at `step`. Left out only where the same transaction ends the job,
            so that the history never outruns the newest checkpoint.
        retained: the checkpoint is kept for looking back.

    Returns:
        What somebody wants to become of the job.

    Raises:
        LeaseLost: the job is no longer this claim's or is not at `previous_step`; roll back.
    """
    values: dict[str, Any] = {
        "to_step": step,
        "at_step": previous_step,
        "lease_seconds": lease_seconds,
        "seconds": seconds,
        "checkpointed": checkpoint is not None and step > previous_step,
    }
    if rows:
        last = rows[-1]
        statement = _progress_with_measures(now)
        values |= {
            "new_loss": history.finite(last.loss),
            "new_accuracy": history.finite(last.accuracy),
            "new_validation_loss": history.finite(last.validation_loss),
            "new_validation_accuracy": history.finite(last.validation_accuracy),
        }
    else:
        statement = _progress(now)
    wish: Wish | None = _change(session, claim, statement, values)
    history.insert_rows(session, claim.pk, rows)
    if checkpoint is not None:
        checkpoints.add(session, claim.pk, step=step, data=checkpoint, retained=retained, now=now)
    return wish


def renew_lease(
    session: Session,
    claim: Claim,
    *,
    lease_seconds: float,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Wish | None:
    """Renews the lease without progress, e.g. while steps are computed again.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    wish: Wish | None = _change(session, claim, _renew(now), {"lease_seconds": lease_seconds})
    return wish


def wish(session: Session, claim: Claim) -> Wish | None:
    """What somebody wants to become of the job; reads only.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    row = session.execute(_WISH, _hold(claim)).one_or_none()
    if row is None:
        raise LeaseLost(claim.id, claim.fence)
    wanted: Wish | None = row[0]
    return wanted


def succeed(
    session: Session,
    claim: Claim,
    *,
    step: int,
    parameters: Packed,
    now: ColumnElement[float] = DATABASE_TIME,
) -> State:
    """Stores the final parameters and ends the job `succeeded`.

    `step` is that of the newest progress. A job whose cancel was accepted before this ends
    `cancelled`, without parameters.

    Raises:
        LeaseLost: the job is no longer this claim's or is not at `step`.
    """
    state: State = _change(session, claim, _succeed(now), {"at_step": step})
    if state == "succeeded":
        results.store(session, claim.pk, step=step, packed=parameters)
    events.record(session, Happening(claim.pk, state, "running", state, claim.worker), now=now)
    return state


def fail(
    session: Session,
    claim: Claim,
    *,
    code: ErrorCode,
    detail: str,
    step: int | None = None,
    now: ColumnElement[float] = DATABASE_TIME,
) -> State:
    """Ends the job `failed`, or `cancelled` when a cancel was accepted before this.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    values = {"new_code": code, "new_detail": detail, "new_step": step}
    state: State = _change(session, claim, _fail(now), values)
    happening = Happening(claim.pk, state, "running", state, claim.worker, f"{code}: {detail}")
    events.record(session, happening, now=now)
    return state


def release(session: Session, claim: Claim, *, now: ColumnElement[float] = DATABASE_TIME) -> State:
    """Gives the job back to where its wish points: `cancelled`, `paused`, else `queued`.

    An orderly release is no attempt. A job that is queued again is the next for the sweeper to
    ring.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    state: State = _change(session, claim, _release(now), {})
    kind = "released" if state == "queued" else state
    events.record(session, Happening(claim.pk, kind, "running", state, claim.worker), now=now)
    return state


def _change(session: Session, claim: Claim, statement: Statement, values: dict[str, Any]) -> Any:
    """Runs a statement that changes the claim's job and returns one value of it."""
    row = session.execute(statement, _hold(claim) | values).one_or_none()
    if row is None:
        raise LeaseLost(claim.id, claim.fence)
    return row[0]


def _hold(claim: Claim) -> dict[str, int]:
    return {"of_pk": claim.pk, "of_fence": claim.fence}


# The statements, built once for each clock: in service there is one, the database's.

_HELD = (
    jobs.pk == bindparam("of_pk"),
    jobs.fence == bindparam("of_fence"),
    jobs.state == "running",
)
_WISH = select(jobs.desired_state).where(*_HELD)

# Where a running job goes when its worker lets go of it.
WHERE_THE_WISH_POINTS = func.coalesce(jobs.desired_state, "queued")


def unless_cancelled(value: Any, otherwise: Any = None) -> Case[Any]:
    """`value`, but `otherwise` for a job whose cancel has been accepted."""
    return case((jobs.desired_state == "cancelled", otherwise), else_=value)


def left(now: ColumnElement[float]) -> dict[str, Any]:
    """What changes in every job that stops running."""
    return {"lease_until": null(), "desired_state": null(), "updated_at": now}


@lru_cache(maxsize=16)
def _claim(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(jobs.id == bindparam("of_id"), jobs.state == "queued")
        .values(
            state="running",
            fence=jobs.fence + 1,
            attempt=jobs.attempt + 1,
            fruitless_claims=jobs.fruitless_claims + 1,
            lease_until=now + bindparam("lease_seconds"),
            worker=bindparam("by"),
            started_at=func.coalesce(jobs.started_at, now),
            updated_at=now,
        )
        .returning(
            jobs.pk,
            jobs.id,
            jobs.fence,
            jobs.attempt,
            jobs.worker,
            jobs.spec,
            jobs.step,
            jobs.trained_seconds,
        )
    )


@lru_cache(maxsize=16)
def _progress(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*_HELD, jobs.step == bindparam("at_step"))
        .values(
            step=bindparam("to_step"),
            lease_until=now + bindparam("lease_seconds"),
            trained_seconds=jobs.trained_seconds + bindparam("seconds"),
            fruitless_claims=case((bindparam("checkpointed"), 0), else_=jobs.fruitless_claims),
            updated_at=now,
        )
        .returning(jobs.desired_state)
    )


@lru_cache(maxsize=16)
def _progress_with_measures(now: ColumnElement[float]) -> Statement:
    return _progress(now).values(
        loss=bindparam("new_loss"),
        accuracy=bindparam("new_accuracy"),
        validation_loss=bindparam("new_validation_loss"),
        validation_accuracy=bindparam("new_validation_accuracy"),
    )


@lru_cache(maxsize=16)
def _renew(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*_HELD)
        .values(lease_until=now + bindparam("lease_seconds"))
        .returning(jobs.desired_state)
    )


@lru_cache(maxsize=16)
def _succeed(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*_HELD, jobs.step == bindparam("at_step"))
        .values(state=unless_cancelled("succeeded", "cancelled"), finished_at=now, **left(now))
        .returning(jobs.state)
    )


@lru_cache(maxsize=16)
def _fail(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*_HELD)
        .values(
            state=unless_cancelled("failed", "cancelled"),
            error_code=unless_cancelled(bindparam("new_code", type_=Text())),
            error_detail=unless_cancelled(bindparam("new_detail", type_=Text())),
            error_step=unless_cancelled(bindparam("new_step", type_=Integer())),
            finished_at=now,
            **left(now),
        )
        .returning(jobs.state)
    )


@lru_cache(maxsize=16)
def _release(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*_HELD)
        .values(
            state=WHERE_THE_WISH_POINTS,
            attempt=jobs.attempt - 1,
            fruitless_claims=case((jobs.fruitless_claims > 0, jobs.fruitless_claims - 1), else_=0),
            finished_at=case((jobs.desired_state == "cancelled", now), else_=null()),
            rung_at=null(),
            **left(now),
        )
        .returning(jobs.state)
    )
