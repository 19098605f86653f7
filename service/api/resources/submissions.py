"""POST /v1/jobs: a specification is checked, stored and queued.

The route belongs to the blueprint of the jobs: of two blueprints with the same address,
flask-openapi3 documents only one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus as Status
from typing import Annotated, Any, Self

from flask import Response, g, jsonify, url_for
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from engine.data.description import describe_dataset
from engine.spec import JobSpec
from engine.spec.datasets.stored import finding
from engine.spec.warnings import warnings
from service.api import context, limits
from service.api.openapi import answers
from service.api.query_parameters import Query
from service.api.resources.datasets import Read
from service.api.resources.jobs import JobView, view
from service.api.resources.jobs import blueprint as blueprint
from service.api.stored_datasets import find_content
from service.common.errors import DatasetNotFound, InvalidRequest, JobNotFound
from service.store import datasets, disk, idempotency, jobs, quotas
from service.store.tables import Job

# What the page at /docs offers to be sent.
EXAMPLES: dict[str, Any] = {
    "moons": {
        "summary": "Two half moons, as in micrograd's demo",
        "value": {
            "name": "moons",
            "dataset": {"kind": "moons", "n_samples": 100, "noise": 0.1, "seed": 1337},
            "model": {
                "layers": [
                    {"units": 16, "activation": "relu"},
                    {"units": 16, "activation": "relu"},
                    {"units": 1, "activation": "linear"},
                ],
                "init": {"kind": "uniform", "seed": 1337},
            },
            "loss": {"kind": "max_margin", "l2": 1e-4},
            "optimizer": {"learning_rate": {"kind": "linear", "start": 1.0, "end": 0.1}},
            "training": {"steps": 100},
        },
    },
    "inline": {
        "summary": "Rows of your own",
        "value": {
            "name": "four rows",
            "dataset": {
                "kind": "inline",
                "x": [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]],
                "y": [1.0, -1.0, -1.0, 1.0],
            },
            "model": {"layers": [{"units": 4, "activation": "tanh"}, {"units": 1}]},
            "loss": {"kind": "mse"},
            "optimizer": {"learning_rate": 0.05},
            "training": {"steps": 200},
        },
    },
}


class NewJob(JobSpec):
    """A job specification, and the job that it repeats or varies, if any."""

    # Read by flask-openapi3.
    model_config = ConfigDict(openapi_extra={"examples": EXAMPLES})  # type: ignore[typeddict-unknown-key]

    parent_id: str | None = None

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """A stored data set is looked for among those of the sender of this request."""
        return super().model_validate(obj, **{"context": finding(find_content), **options})

    def spec(self) -> JobSpec:
        """The specification alone; it has been validated with the request."""
        return JobSpec.model_construct(
            **{name: getattr(self, name) for name in JobSpec.model_fields}
        )


class SubmitHeader(BaseModel):
    idempotency_key: (
        Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]+$", max_length=255)] | None
    ) = Field(
        default=None,
        alias="Idempotency-Key",
        description="the same key within 24 hours answers with the same job",
    )


class SubmitQuery(Query):
    validate_only: bool = Field(
        default=False, description="answer with the specification as it would run; store nothing"
    )


class Warning(BaseModel):
    """A likely mistake in a specification that is trained all the same."""

    pointer: str = Field(description="JSON pointer (RFC 6901) of its place")
    detail: str


class SubmittedJob(JobView):
    """A job as it was stored, and likely mistakes in its specification."""

    warnings: list[Warning]


class Validated(BaseModel):
    """What would be trained."""

    spec: dict[str, Any] = Field(description="the specification with its defaults filled in")
    parameters: int = Field(description="weights and biases of the network")
    work: int = Field(
        description="about how many multiplications training takes; each of the scalar executor "
        "counts 10,000 times"
    )
    memory: int = Field(description="about how many bytes of memory training takes")
    dataset: Read | None = Field(
        description="what was read of rows of your own; null for a generator and the like"
    )
    warnings: list[Warning] = Field(description="likely mistakes that are trained all the same")


@blueprint.post(
    "",
    operation_id="submit_job",
    summary="Submit a job",
    responses=answers(
        {200: Validated, 201: SubmittedJob},
        Status.BAD_REQUEST,
        Status.REQUEST_ENTITY_TOO_LARGE,
        Status.UNSUPPORTED_MEDIA_TYPE,
        Status.UNPROCESSABLE_ENTITY,
        Status.SERVICE_UNAVAILABLE,
        Status.INSUFFICIENT_STORAGE,
    ),
)
def submit(header: SubmitHeader, query: SubmitQuery, body: NewJob) -> Response:
    """Stores a job and tells the workers; the answer does not wait for them.

    Without a message broker the job is stored all the same and starts a little later.
    """
    spec = body.spec()
    if query.validate_only:
        limits.check(spec, context.current().settings)
        _check_parent(body)
        return jsonify(validated(spec))
    job, replayed = _store(body, spec, header.idempotency_key)
    answer = view(job, warnings=warning_list(spec))
    answer.status_code = 201
    answer.headers["Location"] = url_for("jobs.show", id=job.id)
    if replayed:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer


def validated(spec: JobSpec) -> dict[str, Any]:
    """A `Validated`."""
    return {
        "spec": spec.model_dump(mode="json"),
        "parameters": spec.parameters(),
        "work": spec.work(),
        "memory": spec.memory().total,
        # A generator would have to draw its rows first.
        "dataset": describe_dataset(spec.dataset) if spec.dataset.known_targets() else None,
        "warnings": warning_list(spec),
    }


def warning_list(spec: JobSpec) -> list[dict[str, str]]:
    """The `Warning`s of a specification."""
    return [warning._asdict() for warning in warnings(spec)]


def _store(body: NewJob, spec: JobSpec, key: str | None) -> tuple[Job, bool]:
    """The job for this request, and whether an earlier request with the same key made it."""
    # Before the transaction, which keeps all others from writing: it may be megabytes.
    text = spec.model_dump_json()
    # Equal means: the same once defaults are filled in, however the JSON was written.
    sha256 = _sha256(body) if key else ""
    with context.write() as session:
        if key is None:
            return _create(session, body, spec, text), False
        found = idempotency.find(
            session,
            key,
            sha256,
            is_repeat=lambda job: _sha256(_request_of(session, job)) == sha256,
        )
        if found is not None:
            return found, True
        job = _create(session, body, spec, text)
        idempotency.remember(session, key, sha256, job)
        return job, False


def _sha256(body: NewJob) -> str:
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


def _request_of(session: Session, job: Job) -> NewJob:
    """The request that would make this job, with the defaults of this version filled in."""
    content = datasets.content_of_job(session, job.dataset)
    return NewJob.model_validate(
        json.loads(job.spec) | {"parent_id": job.parent_id}, context=finding(lambda id: content)
    )


def _create(session: Session, body: NewJob, spec: JobSpec, text: str) -> Job:
    # Only here: a request that is repeated gets the job that it made under earlier limits.
    settings = context.current().settings
    limits.check(spec, settings)
    disk.check(settings)
    room = quotas.room_of(spec, text, settings.checkpoint_bytes_per_job)
    with _blaming_place():
        job = jobs.create(
            session,
            spec,
            text=text,
            parent_id=body.parent_id,
            request_id=g.request_id,
        )
    quotas.charge(session, settings, job.pk, room)
    quotas.check_queue(session, settings)
    return job


def _check_parent(body: NewJob) -> None:
    if body.parent_id is not None:
        with _blaming_place(), context.read() as session:
            jobs.key(session, body.parent_id)


@contextmanager
def _blaming_place() -> Iterator[None]:
    """A submission looks for no job but its parent, and for no data set but its own."""
    try:
        yield
    except DatasetNotFound as error:  # it was deleted a moment ago
        raise InvalidRequest([("/dataset/id", str(error))]) from None
    except JobNotFound as error:
        raise InvalidRequest([("/parent_id", str(error))]) from None
