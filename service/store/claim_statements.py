"""The statements by which a claim changes its job, each under the claim's fence.

The fence and the step are two of the five locks on a history row in docs/architecture.md. The
statements are built once per clock; a service has only one, that of its database.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Case,
    ColumnElement,
    Integer,
    Text,
    bindparam,
    case,
    cast,
    func,
    null,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from service.store.tables import Job

jobs = Job.__table__.c

FIGURES = ("step", "loss", "accuracy", "validation_loss", "validation_accuracy")
BEST = tuple(f"best_{name}" for name in FIGURES)
FINAL = tuple(f"final_{name}" for name in FIGURES)

Statement = ReturningUpdate[*tuple[Any, ...]]

# The second lock: each statement of a claim names its own fence.
HELD = (
    jobs.pk == bindparam("of_pk"),
    jobs.fence == bindparam("of_fence"),
    jobs.state == "running",
)
DESIRED_STATE = select(jobs.desired_state).where(*HELD)

# What a running job becomes when its worker releases it.
STATE_AFTER_RELEASE = func.coalesce(jobs.desired_state, "queued")


def unless_cancelled(value: Any, otherwise: Any = None) -> Case[Any]:
    """`value`, but `otherwise` for a job whose cancel has been accepted."""
    return case((jobs.desired_state == "cancelled", otherwise), else_=value)


def _figure(name: str) -> ColumnElement[Any]:
    # Postgres takes a None without a type inside CASE for text.
    return cast(bindparam(f"new_{name}"), jobs[name].type)


def left(now: ColumnElement[float]) -> dict[str, Any]:
    """The values that change in every job that stops running."""
    return {"lease_until": null(), "desired_state": null(), "updated_at": now}


@lru_cache(maxsize=16)
def claim(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        # The first lock: only a queued job can be claimed.
        .where(jobs.id == bindparam("of_id"), jobs.state == "queued")
        .values(
            state="running",
            fence=jobs.fence + 1,
            attempt=jobs.attempt + 1,
            fruitless_claims=jobs.fruitless_claims + 1,
            lease_until=now + bindparam("lease_seconds"),
            worker=bindparam("by"),
            environment=case(
                (
                    jobs.step == 0,
                    func.coalesce(jobs.environment, bindparam("first_environment", type_=Text())),
                ),
                else_=jobs.environment,
            ),
            started_at=func.coalesce(jobs.started_at, now),
            updated_at=now,
        )
        .returning(
            jobs.pk,
            jobs.id,
            jobs.owner,
            jobs.request_id,
            jobs.fence,
            jobs.attempt,
            jobs.dataset,
            jobs.worker,
            jobs.spec,
            jobs.step,
            jobs.trained_seconds,
            jobs.environment,
            *(jobs[name] for name in BEST),
        )
    )


@lru_cache(maxsize=16)
def progress(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        # The third lock: a progress starts where the one before it has ended.
        .where(*HELD, jobs.step == bindparam("at_step"))
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
def progress_with_measures(now: ColumnElement[float]) -> Statement:
    return progress(now).values(
        loss=bindparam("new_loss"),
        accuracy=bindparam("new_accuracy"),
        validation_loss=bindparam("new_validation_loss"),
        validation_accuracy=bindparam("new_validation_accuracy"),
    )


@lru_cache(maxsize=16)
def progress_with_best(now: ColumnElement[float], measures: bool) -> Statement:
    statement = progress_with_measures(now) if measures else progress(now)
    return statement.values({name: bindparam(f"new_{name}") for name in BEST})


@lru_cache(maxsize=16)
def renew(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*HELD)
        .values(lease_until=now + bindparam("lease_seconds"))
        .returning(jobs.desired_state)
    )


@lru_cache(maxsize=16)
def succeed(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*HELD, jobs.step == bindparam("at_step"))
        .values(
            state=unless_cancelled("succeeded", "cancelled"),
            finished_at=now,
            **{name: unless_cancelled(_figure(name)) for name in FINAL},
            **left(now),
        )
        .returning(jobs.state)
    )


@lru_cache(maxsize=16)
def fail(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*HELD)
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
def release(now: ColumnElement[float]) -> Statement:
    return (
        update(Job.__table__)
        .where(*HELD)
        .values(
            state=STATE_AFTER_RELEASE,
            attempt=jobs.attempt - 1,
            fruitless_claims=case((jobs.fruitless_claims > 0, jobs.fruitless_claims - 1), else_=0),
            finished_at=case((jobs.desired_state == "cancelled", now), else_=null()),
            published_at=null(),
            **left(now),
        )
        .returning(jobs.state)
    )


# In the claim's own transaction, when the job was computed elsewhere before.
ENVIRONMENT = update(Job.__table__).where(*HELD).values(environment=bindparam("new_environment"))
