"""`?of=`: a network judged on the training or the validation rows, at any step."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from flask import Response
from pydantic import Field

from service.api import context
from service.api.artifacts import artifact_answer
from service.api.query_parameters import Query
from service.api.steps import Step
from service.common.errors import InvalidRequest
from service.store import evaluations, jobs, steps
from service.store.evaluations import Judged
from service.store.steps import Wanted

RowsOf = Literal["training", "validation"]


class RowsQuery(Query):
    of: RowsOf | None = Field(
        default=None,
        description="the rows that the network is judged on; left out: `validation` where the job "
        "keeps rows for it, else `training`",
    )
    step: Step | None = None


def judged_answer(
    job_id: str,
    step: Wanted,
    of: RowsOf | None,
    prefer: str | None,
    present: Callable[[int, RowsOf, Judged], Response],
) -> Response:
    """The response that `present` makes from the step, the name of the rows, and the judgement.

    Raises:
        InvalidRequest: the job keeps no rows for validation.
        JobNotFound, StepNotFound, ParametersNotFound: as `service.store.steps.resolve`.
        TooBusy, DiskFull: as `service.api.artifacts.artifact_answer`.
    """
    with context.read() as session:
        job = jobs.get(session, job_id)
        number = steps.resolve(session, job, step)
    validates = json.loads(job.spec)["training"].get("validation_fraction", 0.0) > 0.0
    if of == "validation" and not validates:
        raise InvalidRequest(
            [
                (
                    "/of",
                    "the job keeps no rows for validation: ask for those of training, or submit it "
                    "again with a training.validation_fraction",
                )
            ]
        )
    chosen: RowsOf = of or ("validation" if validates else "training")
    return artifact_answer(
        job_id,
        "evaluation",
        {"step": number, "of": chosen},
        prefer,
        present=lambda data, _: present(number, chosen, evaluations.unpack(data)),
    )
