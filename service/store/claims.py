"""A worker's claim of a job: made once, renewed by progress, released or ended.

Each statement names the claim's fence. A worker that was presumed dead and is not finds that its
fence is no longer the job's: it changes nothing and gets `LeaseLost`. docs/architecture.md lists
the five locks that keep a history row from being stored twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from service.common.errors import LeaseLost
from service.store import (
    checkpoints,
    claim_statements,
    datasets,
    events,
    history,
    parameters,
    quotas,
    turns,
)
from service.store.claim_statements import Statement
from service.store.clock import DATABASE_TIME
from service.store.events import NewEvent
from service.store.parameters import Packed
from service.store.states import DesiredState, ErrorCode, JobState
from service.store.tables import OwnedKey

if TYPE_CHECKING:
    from engine.train import HistoryRow


class StepScores(NamedTuple):
    """Loss and score of the parameters after `step` updates; None where there is none."""

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Everything that a worker needs to train a job and to prove that the job is its own.

    `content` is the specification of the stored data set that `spec` names, if it names one.
    """

    pk: OwnedKey
    id: str
    owner: str
    request_id: str | None
    fence: int
    attempt: int
    worker: str
    spec: str
    content: bytes | None
    step: int
    trained_seconds: float
    best: StepScores | None = None


def claim(
    session: Session,
    id: str,
    *,
    worker: str,
    lease_seconds: float,
    environment: Mapping[str, str] | None = None,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Claim | None:
    """Claims a queued job; None when it is not queued, whatever the reason.

    `environment` names the software and the processor that compute the job's bits from here on.
    It is recorded with the current step, unless the last claim had the same.
    """
    row = session.execute(
        claim_statements.claim(now),
        {
            "of_id": id,
            "by": worker,
            "lease_seconds": lease_seconds,
            "first_environment": _environments([], 0, environment),
        },
    ).one_or_none()
    if row is None:
        return None
    values = dict(row._mapping)
    recorded = values.pop("environment")
    recorded_best = [values.pop(name) for name in claim_statements.BEST]
    content = datasets.content_of_job(session, values.pop("dataset"))
    claim = Claim(**values, content=content, best=_best_so_far(session, values, recorded_best))
    _record_environment(session, claim, recorded, environment)
    new_event = NewEvent(
        claim.pk, "claimed", "queued", "running", worker, f"attempt {claim.attempt}"
    )
    events.record(session, new_event, now=now)
    return claim


def claim_next(
    session: Session,
    *,
    worker: str,
    lease_seconds: float,
    environment: Mapping[str, str] | None = None,
    served: turns.Served | None = None,
    max_running: int = 0,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Claim | None:
    """Claims the job whose turn it is (`service.store.turns`); None when there is none.

    No owner gets more than `max_running` running jobs; 0 is no limit.
    """
    while (id := turns.next_id(session, served, max_running)) is not None:
        made = claim(
            session,
            id,
            worker=worker,
            lease_seconds=lease_seconds,
            environment=environment,
            now=now,
        )
        if made is not None:  # else another worker was faster
            if served is not None:
                served.note(made.owner)
            return made
    return None


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
    best: StepScores | None = None,
    trained_before: float = 0.0,
    now: ColumnElement[float] = DATABASE_TIME,
) -> DesiredState | None:
    """Advances a job from `previous_step` to `step` and renews its lease.

    Args:
        step: finished updates.
        previous_step: `step` of the progress before, of any claim.
        rows: the logged steps in between; the last one's numbers become the job's.
        seconds: time spent training since the previous progress.
        checkpoint: the state at `step`. None only where the same transaction ends the job, so
            that the history never outruns the newest checkpoint.
        retained: the checkpoint is kept for looking back.
        best: the best logged step so far; None leaves the recorded one.
        trained_before: seconds of training up to the previous progress.

    Returns:
        The state that was requested for the job, if any.

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
    if best is not None:
        statement = claim_statements.progress_with_best(now, bool(rows))
        values |= {f"new_best_{name}": value for name, value in best._asdict().items()}
    desired: DesiredState | None = _change(session, claim, statement, values)
    pace = seconds / max(1, step - previous_step)
    # The clock is read once per progress; the steps in between count as equally long.
    elapsed = [trained_before + pace * (row.step + 1 - previous_step) for row in rows]
    history.insert_rows(session, claim.pk, rows, elapsed)
    if checkpoint is not None:
        checkpoints.add(session, claim.pk, step=step, data=checkpoint, retained=retained, now=now)
    return desired


def renew_lease(
    session: Session,
    claim: Claim,
    *,
    lease_seconds: float,
    now: ColumnElement[float] = DATABASE_TIME,
) -> DesiredState | None:
    """Renews the lease without progress, e.g. while steps are computed again.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    desired: DesiredState | None = _change(
        session, claim, claim_statements.renew(now), {"lease_seconds": lease_seconds}
    )
    return desired


def desired_state(session: Session, claim: Claim) -> DesiredState | None:
    """What somebody wants to become of the job; reads only.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    row = session.execute(claim_statements.DESIRED_STATE, _hold(claim)).one_or_none()
    if row is None:
        raise LeaseLost(claim.id, claim.fence)
    wanted: DesiredState | None = row[0]
    return wanted


def succeed(
    session: Session,
    claim: Claim,
    *,
    step: int,
    packed: Packed,
    final: StepScores | None = None,
    now: ColumnElement[float] = DATABASE_TIME,
) -> JobState:
    """Stores the delivered parameters and ends the job `succeeded`.

    `step` is that of the newest progress, `final` the scores of the delivered parameters. A job
    whose cancel was accepted before this ends `cancelled`, without parameters.

    Raises:
        LeaseLost: the job is no longer this claim's or is not at `step`.
    """
    state: JobState = _change(
        session, claim, claim_statements.succeed(now), {"at_step": step} | _final_values(final)
    )
    if state == "succeeded":
        delivered = step if final is None else final.step
        parameters.store(session, claim.pk, step=delivered, packed=packed)
    else:
        quotas.settle(session, claim.pk)
    events.record(session, NewEvent(claim.pk, state, "running", state, claim.worker), now=now)
    return state


def fail(
    session: Session,
    claim: Claim,
    *,
    code: ErrorCode,
    detail: str,
    step: int | None = None,
    now: ColumnElement[float] = DATABASE_TIME,
) -> JobState:
    """Ends the job `failed`, or `cancelled` when a cancel was accepted before this.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    values = {"new_code": code, "new_detail": detail, "new_step": step}
    state: JobState = _change(session, claim, claim_statements.fail(now), values)
    quotas.settle(session, claim.pk)
    new_event = NewEvent(claim.pk, state, "running", state, claim.worker, f"{code}: {detail}")
    events.record(session, new_event, now=now)
    return state


def release(
    session: Session, claim: Claim, *, now: ColumnElement[float] = DATABASE_TIME
) -> JobState:
    """Releases the job: it becomes `cancelled` or `paused` where that was requested, else `queued`.

    An orderly release does not count as an attempt. A job that is queued again is due for a
    message, which recovery publishes.

    Raises:
        LeaseLost: the job is no longer this claim's.
    """
    state: JobState = _change(session, claim, claim_statements.release(now), {})
    if state == "cancelled":
        quotas.settle(session, claim.pk)
    kind = "released" if state == "queued" else state
    events.record(session, NewEvent(claim.pk, kind, "running", state, claim.worker), now=now)
    return state


def _best_so_far(
    session: Session, values: Mapping[str, Any], recorded: Sequence[Any]
) -> StepScores | None:
    if recorded[0] is not None:
        return StepScores(*recorded)
    # A job that version 0.1 began has a history but no columns of the best step.
    found = history.best(session, values["pk"]) if values["step"] else None
    return None if found is None else StepScores(*found[:5])


def _change(session: Session, claim: Claim, statement: Statement, values: dict[str, Any]) -> Any:
    """Runs a statement that changes the claim's job; returns the one value that it returns."""
    row = session.execute(statement, _hold(claim) | values).one_or_none()
    if row is None:
        raise LeaseLost(claim.id, claim.fence)
    return row[0]


def _hold(claim: Claim) -> dict[str, int]:
    return {"of_pk": claim.pk, "of_fence": claim.fence}


def _final_values(final: StepScores | None) -> dict[str, Any]:
    figures = dict.fromkeys(StepScores._fields) if final is None else final._asdict()
    return {f"new_final_{name}": value for name, value in figures.items()}


def _environments(
    known: list[dict[str, Any]], step: int, environment: Mapping[str, str] | None
) -> str | None:
    """The environments so far and this one, which computes from `step` on, as JSON."""
    if environment is None:
        return None
    return json.dumps([*known, {"from_step": step, **environment}])


def _record_environment(
    session: Session, claim: Claim, recorded: str | None, environment: Mapping[str, str] | None
) -> None:
    known = json.loads(recorded) if recorded else []
    if environment is None or (known and known[-1].items() >= environment.items()):
        return
    text = _environments(known, claim.step, environment)
    session.execute(claim_statements.ENVIRONMENT, _hold(claim) | {"new_environment": text})
