"""A worker's hold on a job: claimed once, renewed by progress, given back or ended.

Each statement names the claim's fence. A worker that was thought dead and comes back finds that
its fence is no longer the job's, changes nothing and gets `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from service.common.errors import LeaseLost
from service.store import checkpoints, claim_statements, events, history, parameters
from service.store.claim_statements import Statement
from service.store.connections import DATABASE_TIME
from service.store.events import Happening
from service.store.parameters import Packed
from service.store.tables import ErrorCode, State, Wish

if TYPE_CHECKING:
    from engine.train import HistoryRow


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
        claim_statements.claim(now), {"of_id": id, "by": worker, "lease_seconds": lease_seconds}
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
        statement = claim_statements.progress_with_measures(now)
        values |= {
            "new_loss": history.finite(last.loss),
            "new_accuracy": history.finite(last.accuracy),
            "new_validation_loss": history.finite(last.validation_loss),
            "new_validation_accuracy": history.finite(last.validation_accuracy),
        }
    else:
        statement = claim_statements.progress(now)
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
    wish: Wish | None = _change(
        session, claim, claim_statements.renew(now), {"lease_seconds": lease_seconds}
    )
    return wish


def wish(session: Session, claim: Claim) -> Wish | None:
    """What somebody wants to become of the job; reads only.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    row = session.execute(claim_statements.WISH, _hold(claim)).one_or_none()
    if row is None:
        raise LeaseLost(claim.id, claim.fence)
    wanted: Wish | None = row[0]
    return wanted


def succeed(
    session: Session,
    claim: Claim,
    *,
    step: int,
    packed: Packed,
    now: ColumnElement[float] = DATABASE_TIME,
) -> State:
    """Stores the final parameters and ends the job `succeeded`.

    `step` is that of the newest progress. A job whose cancel was accepted before this ends
    `cancelled`, without parameters.

    Raises:
        LeaseLost: the job is no longer this claim's or is not at `step`.
    """
    state: State = _change(session, claim, claim_statements.succeed(now), {"at_step": step})
    if state == "succeeded":
        parameters.store(session, claim.pk, step=step, packed=packed)
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
    state: State = _change(session, claim, claim_statements.fail(now), values)
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
    state: State = _change(session, claim, claim_statements.release(now), {})
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
