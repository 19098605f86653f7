"""Errors as HTTP answers: RFC 9457 problem details, made in this one place."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, current_app, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from engine.spec.base import problems
from service.common.errors import (
    DatabaseUnavailable,
    DatasetInUse,
    DatasetNotFound,
    DiskFull,
    GradserveError,
    IdempotencyConflict,
    InvalidCursor,
    InvalidRequest,
    InvalidTransition,
    JobNotFound,
    ParametersNotFound,
    QueueFull,
    StepNotFound,
    StorageUsedUp,
    TooBusy,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
# A place in the queue becomes free when a job has started, not as soon as a database is back.
QUEUE_RETRY_SECONDS = 10
MAX_ERRORS = 100
MAX_DETAIL = 500


class InvalidPlace(BaseModel):
    """One thing that is wrong, and where."""

    pointer: str = Field(
        description="JSON pointer (RFC 6901) into the body, or /NAME of a query parameter or header"
    )
    detail: str


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="names the kind of problem")
    title: str
    status: int
    detail: str
    errors: list[InvalidPlace] | None = Field(default=None, description="only with status 422")


def problem(status: int, kind: str, title: str, detail: str, **more: Any) -> Response:
    """An answer; `kind` is the last part of the type, by which programs tell problems apart."""
    body = {"type": f"urn:gradserve:problem:{kind}", "title": title, "status": status}
    text = current_app.json.dumps(body | {"detail": detail} | more)
    return Response(text + "\n", status, mimetype=MEDIA_TYPE)


def invalid(errors: list[tuple[str, str]]) -> Response:
    """422, naming up to 100 places; where there are more, not all of them were looked for."""
    shown = [
        {"pointer": pointer, "detail": detail[:MAX_DETAIL]}
        for pointer, detail in errors[:MAX_ERRORS]
    ]
    first = ": ".join(text for text in shown[0].values() if text)
    at_least = "at least " if len(errors) > MAX_ERRORS else ""
    others = f" (and {at_least}{len(errors) - 1} more)" if len(errors) > 1 else ""
    return problem(422, "invalid", "The request is not valid", first + others, errors=shown)


def validation_failed(error: ValidationError) -> Response:
    """The answer of flask-openapi3 when a model refuses a request."""
    return invalid(problems(error))


def register(app: Flask) -> None:
    """Turns every error of the app into a problem, also those of Flask itself."""

    @app.errorhandler(InvalidRequest)
    def invalid_request(error: InvalidRequest) -> Response:
        return invalid(error.errors)

    @app.errorhandler(InvalidCursor)
    def invalid_cursor(error: InvalidCursor) -> Response:
        return invalid([("/cursor", str(error))])

    @app.errorhandler(StepNotFound)
    def step_not_found(error: StepNotFound) -> Response:
        return invalid([("/step", str(error))])

    @app.errorhandler(JobNotFound)
    def job_not_found(error: JobNotFound) -> Response:
        return problem(404, "job-not-found", "No such job", str(error))

    @app.errorhandler(DatasetNotFound)
    def dataset_not_found(error: DatasetNotFound) -> Response:
        return problem(404, "dataset-not-found", "No such data set", str(error))

    @app.errorhandler(DatasetInUse)
    def dataset_in_use(error: DatasetInUse) -> Response:
        return problem(409, "dataset-in-use", "The data set is in use", str(error))

    @app.errorhandler(ParametersNotFound)
    def parameters_not_found(error: ParametersNotFound) -> Response:
        return problem(409, "no-parameters", "The job has no parameters", str(error))

    @app.errorhandler(InvalidTransition)
    def invalid_transition(error: InvalidTransition) -> Response:
        return problem(409, "invalid-transition", "Not in this state", str(error))

    @app.errorhandler(IdempotencyConflict)
    def idempotency_conflict(error: IdempotencyConflict) -> Response:
        return problem(422, "idempotency-conflict", "The key was used before", str(error))

    @app.errorhandler(DiskFull)
    def disk_full(error: DiskFull) -> Response:
        return problem(507, "disk-full", "No room on the disk", str(error))

    @app.errorhandler(StorageUsedUp)
    def storage_used_up(error: StorageUsedUp) -> Response:
        return problem(507, "storage-used-up", "No room for more", str(error))

    @app.errorhandler(QueueFull)
    def queue_full(error: QueueFull) -> Response:
        answer = problem(429, "queue-full", "Too many queued jobs", str(error))
        answer.headers["Retry-After"] = str(QUEUE_RETRY_SECONDS)
        return answer

    @app.errorhandler(TooBusy)
    @app.errorhandler(DatabaseUnavailable)
    def database_unavailable(error: GradserveError) -> Response:
        return retry_later(str(error))

    # Locked, out of disk, gone, restarting, too slow: each of these can pass by itself.
    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    @app.errorhandler(InternalError)
    @app.errorhandler(PoolTimeout)
    def database_failed(error: Exception) -> Response:
        log.warning("database unavailable", extra={"reason": str(getattr(error, "orig", error))})
        return retry_later("the database cannot be used at the moment")

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> BaseResponse:
        return from_http(error)

    @app.errorhandler(Exception)
    def internal_error(error: Exception) -> Response:
        log.exception("a request failed", exc_info=error)
        return problem(
            500, "internal", "Internal error", "something went wrong; the log has the details"
        )


def retry_later(detail: str) -> Response:
    answer = problem(503, "unavailable", "Not available at the moment", detail)
    answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def from_http(error: HTTPException) -> BaseResponse:
    """Flask's own refusals (unknown path, wrong method, too large, …) in our form."""
    plain = error.get_response()
    status = error.code
    if status is None or status < 400:
        return plain  # a redirect
    name = error.name  # those of Python's HTTPStatus change with its version
    detail = error.description or name
    if status == 404:
        here = request.script_root
        detail = f"there is nothing at {here}{request.path}; {here}/docs shows what there is"
    if status == 413:
        detail = f"the body is too large: at most {request.max_content_length:,} bytes are read"
    answer = problem(status, name.lower().replace(" ", "-"), name, detail)
    for header in ("Allow", "Retry-After"):
        if header in plain.headers:
            answer.headers[header] = plain.headers[header]
    return answer
