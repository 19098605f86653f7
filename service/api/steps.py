"""`?step=`: the parameters of a job after any number of updates."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, get_args

from flask import Response
from pydantic import BeforeValidator, WithJsonSchema

from engine.spec.base import at
from service.api import context
from service.api.artifacts import artifact_answer
from service.api.query_parameters import Query
from service.store import jobs, parameters, steps
from service.store.steps import StepName, StepParameters
from service.store.tables import Job

MAX_STEP = 2**31 - 1
NAMES = get_args(StepName)


def _step(text: object) -> int | str:
    """A number of updates or a name; one sentence for whatever is neither."""
    if text in NAMES:
        return str(text)
    if isinstance(text, str) and text.isascii() and text.isdigit() and int(text) <= MAX_STEP:
        return int(text)
    raise at((), "must be a number of updates from 0 to the job's step, or best, or latest")


Step = Annotated[
    int | StepName,
    BeforeValidator(_step),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_STEP},
                {"enum": list(NAMES)},
            ],
            "description": "the parameters after so many updates, from 0 to the job's step; "
            "`best`: those of the best logged step; `latest`: the newest, also while the job runs. "
            "Left out: those that the job delivers, or where it has ended without a result, those "
            "of its newest checkpoint",
        }
    ),
]


class StepQuery(Query):
    step: Step | None = None


def parameters_answer(
    job_id: str,
    step: int | StepName | None,
    prefer: str | None,
    present: Callable[[Job, StepParameters], Response],
) -> Response:
    """The response that `present` makes from the parameters of a step.

    At once where the step was kept; otherwise as `artifact_answer`, once a worker has replayed it.

    Raises:
        JobNotFound, StepNotFound, ParametersNotFound: as `service.store.steps.resolve`.
        TooBusy, DiskFull: as `artifact_answer`.
    """
    with context.read() as session:
        job = jobs.get(session, job_id)
        number = steps.resolve(session, job, step)
        kept = steps.kept(session, job.pk, number)
    if kept is not None:
        return present(job, kept)

    def present_replayed(data: bytes, media_type: str) -> Response:
        numbers = parameters.flat(parameters.unpack(data))
        return present(job, StepParameters(number, numbers))

    return artifact_answer(job_id, "parameters", {"step": number}, prefer, present=present_replayed)


def number_of(job_id: str, step: int | StepName | None) -> int:
    """The number of the step that is meant; raises as `parameters_answer`."""
    with context.read() as session:
        return steps.resolve(session, jobs.get(session, job_id), step)


def layers(job: Job, of: StepParameters) -> list[dict[str, Any]]:
    """The layers as the API shows them and `engine.networks.predict` takes them."""
    specified = json.loads(job.spec)["model"]["layers"]
    sizes = parameters.sizes([layer["units"] for layer in specified], of.numbers.size)
    return [
        {
            "weights": found.weights.tolist(),
            "biases": found.biases.tolist(),
            "activation": layer["activation"],
        }
        for found, layer in zip(parameters.layers(sizes, of.numbers), specified, strict=True)
    ]
