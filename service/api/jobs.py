"""/v1/jobs: submit, list, look at, cancel, pause and resume."""

from __future__ import annotations

import hashlib
import logging

from flask import Response, jsonify, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy.orm import Session

from service import queue
from service.api.schemas import (
    JobPage,
    JobPath,
    JobView,
    NewJob,
    PageQuery,
    SubmitHeader,
    SubmitQuery,
    Validated,
    summary,
    validated,
    view,
)
from service.api.services import current
from service.db import idempotency, jobs, wishes
from service.db.models import TERMINAL, Job
from service.errors import InvalidRequest, JobNotFound

log = logging.getLogger(__name__)

# How soon a client that polls should ask again.
POLL_SECONDS = 1

blueprint = APIBlueprint(
    "jobs",
    __name__,
    url_prefix="/v1/jobs",
    abp_tags=[Tag(name="jobs", description="Training jobs")],
)


@blueprint.post("", responses={200: Validated, 201: JobView}, summary="Submit a job")
def submit(header: SubmitHeader, query: SubmitQuery, body: NewJob) -> Response:
    """Stores a job and tells the workers; the answer does not wait for them.

    Without a message broker the job is stored all the same and starts a little later.
    """
    if query.validate_only:
        return jsonify(validated(body.spec()))
    job, replayed = _store(body, header.idempotency_key)
    if not replayed:
        _ring(job)
    answer = jsonify(view(job))
    answer.status_code = 201
    answer.headers["Location"] = url_for("jobs.show", id=job.id)
    if replayed:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer


@blueprint.get("", responses={200: JobPage}, summary="List jobs, newest first")
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


@blueprint.get("/<string:id>", responses={200: JobView}, summary="Look at a job")
def show(path: JobPath) -> Response:
    with current().database.read() as session:
        return _answer(jobs.get(session, path.id))


@blueprint.post("/<string:id>/cancel", responses={200: JobView}, summary="Cancel a job")
def cancel(path: JobPath) -> Response:
    """A queued or paused job is cancelled at once, a running one at its next step."""
    with current().database.write() as session:
        job = wishes.request_cancel(session, path.id)
    return _answer(job)


@blueprint.post("/<string:id>/pause", responses={200: JobView}, summary="Pause a job")
def pause(path: JobPath) -> Response:
    """A running job stops at its next step, to be resumed to the bit."""
    with current().database.write() as session:
        job = wishes.request_pause(session, path.id)
    return _answer(job)


@blueprint.post("/<string:id>/resume", responses={200: JobView}, summary="Resume a job")
def resume(path: JobPath) -> Response:
    """A paused job is queued again; a wish to pause that was not met yet is taken back."""
    with current().database.write() as session:
        job = wishes.request_resume(session, path.id)
    if job.state == "queued":
        _ring(job)
    return _answer(job)


def _store(body: NewJob, key: str | None) -> tuple[Job, bool]:
    """The job for this request, and whether an earlier request with the same key made it."""
    with current().database.write() as session:
        if key is None:
            return _create(session, body), False
        # Equal means: the same once defaults are filled in, however the JSON was written.
        sha256 = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
        found = idempotency.find(session, key, sha256)
        if found is not None:
            return found, True
        job = _create(session, body)
        idempotency.remember(session, key, sha256, job)
        return job, False


def _create(session: Session, body: NewJob) -> Job:
    try:
        return jobs.create(session, body.spec(), parent_id=body.parent_id)
    except JobNotFound as error:
        raise InvalidRequest([("/parent_id", str(error))]) from None


def _ring(job: Job) -> None:
    if not queue.ring(current().publisher, job.id):
        log.warning("broker unreachable, the sweeper will ring", extra={"job_id": job.id})


def _answer(job: Job) -> Response:
    answer = jsonify(view(job))
    if job.state not in TERMINAL:
        answer.headers["Retry-After"] = str(POLL_SECONDS)
    return answer
