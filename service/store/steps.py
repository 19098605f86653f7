"""A step of a job: which one is meant, and the parameters after that many updates.

Step k is everywhere the same thing: the parameters after k updates, with 0 ≤ k ≤ the job's step.
Row k of the history holds their loss. Some steps are kept, as checkpoints or as the result; every
other is replayed by a worker from the nearest one before it, with the bits that training had there.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from service.common.errors import ParametersNotFound, StepNotFound
from service.store import checkpoints, history, jobs, parameters
from service.store.parameters import Floats
from service.store.tables import Job, OwnedKey

StepName = Literal["best", "latest"]
Wanted = int | StepName | None
"""A number of updates; the best logged step; the newest one; None for what the job delivers."""


class StepParameters(NamedTuple):
    """The parameters after `step` updates, neuron by neuron, each one's weights then its bias."""

    step: int
    numbers: Floats


def resolve(session: Session, job: Job, wanted: Wanted = None) -> int:
    """The number of the step that is meant.

    Without a name it is that of the delivered parameters: the result, or where a job has ended
    otherwise or is paused, its newest checkpoint. `latest` is the last step of a job that has
    succeeded, and of any other the newest checkpoint.

    Raises:
        StepNotFound: the job has not taken as many updates.
        ParametersNotFound: nothing of that name exists yet.
    """
    state = jobs.shown_state(job)
    if isinstance(wanted, int):
        if not 0 <= wanted <= job.step:
            raise StepNotFound(wanted, job.step)
        return wanted
    if wanted == "best":
        return _best(session, job)
    if wanted is None:
        delivered = parameters.delivered_step(session, job.pk)
        if delivered is not None:
            return delivered
        if job.state in ("queued", "running"):
            raise ParametersNotFound(
                f"job {job.id} is {state}: it has parameters once it has succeeded; step=latest "
                "returns the newest until then"
            )
    elif job.state == "succeeded":
        return job.step
    newest = checkpoints.newest_step(session, job.pk)
    if newest is None:
        raise ParametersNotFound(
            f"job {job.id} is {state} and has no checkpoint; step=0 returns the parameters that "
            "its training begins with"
        )
    return newest


def _best(session: Session, job: Job) -> int:
    if job.best_step is not None:
        return job.best_step
    # A job of version 0.1 has a history but no columns of the best step.
    row = history.best(session, job.pk) if job.step else None
    if row is None:
        raise ParametersNotFound(
            f"job {job.id} is {jobs.shown_state(job)}, and none of its logged steps has a loss yet"
        )
    step: int = row.step
    return step


def kept(session: Session, job_key: OwnedKey, step: int) -> StepParameters | None:
    """The parameters of a step that was kept, intact; None where it has to be replayed."""
    result = parameters.result(session, job_key)
    if result is not None and result.step == step:
        return StepParameters(step, parameters.flat(parameters.unpack(result.data)))
    state = checkpoints.newest_state(session, job_key, step, at_least=step)
    return None if state is None else StepParameters(step, state.parameters)


def loss(session: Session, job_key: OwnedKey, step: int) -> float | None:
    """The loss of the parameters of a step: as the job ended, or as its history has it.

    None where that step was not logged, or its loss is not a finite number.
    """
    final = session.execute(_FINAL, {"of_job": job_key}).one_or_none()
    if final is not None and final.final_step == step:
        return history.finite(final.final_loss)
    row = history.at(session, job_key, step)
    return None if row is None else history.finite(row.loss)


_FINAL = select(Job.final_step, Job.final_loss).where(Job.pk == bindparam("of_job"))
