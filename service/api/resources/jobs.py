"""/v1/jobs: submit, list, look at, cancel, pause and resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus as Status
from typing import Any

from flask import Response, current_app, jsonify, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy.orm import Session

from engine.spec import JobSpec
from service.api.context import current
from service.api.openapi import answers
from service.api.resources.wire import (
    JobPage,
    JobPath,
    JobView,
    NewJob,
    PageQuery,
    SubmitHeader,
    SubmitQuery,
    SubmittedJob,
    Validated,
    summary,
    validated,
    warning_list,
)
from service.common.errors import InvalidRequest, JobNotFound
from service.store import controls, idempotency, jobs
from service.store.states import TERMINAL
from service.store.tables import Job

# How soon a client that polls should ask again.
POLL_SECONDS = 1

ACTION_PROBLEMS = (Status.NOT_FOUND, Status.CONFLICT, Status.SERVICE_UNAVAILABLE)

blueprint = APIBlueprint(
    "jobs",
    __name__,
    url_prefix="/v1/jobs",
    abp_tags=[Tag(name="jobs", description="Training jobs")],
)


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
    ),
)
def submit(header: SubmitHeader, query: SubmitQuery, body: NewJob) -> Response:
    """Stores a job and tells the workers; the answer does not wait for them.

    Without a message broker the job is stored all the same and starts a little later.
    """
    spec = body.spec()
    if query.validate_only:
        _check_parent(body)
        return jsonify(validated(spec))
    job, replayed = _store(body, spec, header.idempotency_key)
    answer = _view(job, warnings=warning_list(spec))
    answer.status_code = 201
    answer.headers["Location"] = url_for("jobs.show", id=job.id)
    if replayed:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer


@blueprint.get(
    "",
    operation_id="list_jobs",
    summary="List jobs, newest first",
    responses=answers({200: JobPage}, Status.UNPROCESSABLE_ENTITY, Status.SERVICE_UNAVAILABLE),
)
def page(query: PageQuery) -> Response:
    with current().database.read() as session:
        found = jobs.page(
            session,
            limit=query.limit,
            cursor=query.cursor,
            state=query.state,
            name=query.name,
        )
    items = [summary(job) for job in found.items]
    return jsonify({"items": items, "next_cursor": found.next_cursor})


@blueprint.get(
    "/<string:id>",
    operation_id="get_job",
    summary="Look at a job",
    responses=answers({200: JobView}, Status.NOT_FOUND, Status.SERVICE_UNAVAILABLE),
)
def show(path: JobPath) -> Response:
    with current().database.read() as session:
        return _answer(jobs.get(session, path.id))


@blueprint.post(
    "/<string:id>/cancel",
    operation_id="cancel_job",
    summary="Cancel a job",
    responses=answers({200: JobView}, *ACTION_PROBLEMS),
)
def cancel(path: JobPath) -> Response:
    """A queued or paused job is cancelled at once, a running one at its next step."""
    with current().database.write() as session:
        answer = controls.request_cancel(session, path.id)
    return _answer(answer.job)


@blueprint.post(
    "/<string:id>/pause",
    operation_id="pause_job",
    summary="Pause a job",
    responses=answers({200: JobView}, *ACTION_PROBLEMS),
)
def pause(path: JobPath) -> Response:
    """A running job stops at its next step, to be resumed to the bit."""
    with current().database.write() as session:
        answer = controls.request_pause(session, path.id)
    return _answer(answer.job)


@blueprint.post(
    "/<string:id>/resume",
    operation_id="resume_job",
    summary="Resume a job",
    responses=answers({200: JobView}, *ACTION_PROBLEMS),
)
def resume(path: JobPath) -> Response:
    """A paused job is queued again. A pause that was requested but not reached is withdrawn."""
    with current().database.write() as session:
        answer = controls.request_resume(session, path.id)
    return _answer(answer.job)


def _store(body: NewJob, spec: JobSpec, key: str | None) -> tuple[Job, bool]:
    """The job for this request, and whether an earlier request with the same key made it."""
    # Before the transaction, which keeps all others from writing: it may be megabytes.
    text = spec.model_dump_json()
    # Equal means: the same once defaults are filled in, however the JSON was written.
    sha256 = hashlib.sha256(body.model_dump_json().encode()).hexdigest() if key else ""
    with current().database.write() as session:
        if key is None:
            return _create(session, body, spec, text), False
        found = idempotency.find(session, key, sha256)
        if found is not None:
            return found, True
        job = _create(session, body, spec, text)
        idempotency.remember(session, key, sha256, job)
        return job, False


def _create(session: Session, body: NewJob, spec: JobSpec, text: str) -> Job:
    with _blaming_parent():
        return jobs.create(session, spec, text=text, parent_id=body.parent_id)


def _check_parent(body: NewJob) -> None:
    if body.parent_id is not None:
        with _blaming_parent(), current().database.read() as session:
            jobs.key(session, body.parent_id)


@contextmanager
def _blaming_parent() -> Iterator[None]:
    """The only job that a submission looks for is its parent."""
    try:
        yield
    except JobNotFound as error:
        raise InvalidRequest([("/parent_id", str(error))]) from None


def _view(job: Job, **more: Any) -> Response:
    """A `JobView`. The specification goes in as it is stored: it may be megabytes."""
    known = json.loads(job.environment) if job.environment else []
    view = summary(job) | more | {"environment": known}
    head = current_app.json.dumps(view, separators=(",", ":")).removesuffix("}")
    return Response(f'{head},"spec":{job.spec}}}\n', mimetype="application/json")


def _answer(job: Job) -> Response:
    answer = _view(job)
    if job.state not in TERMINAL:
        answer.headers["Retry-After"] = str(POLL_SECONDS)
    return answer
