"""/v1/jobs: list, look at, cancel, pause, resume and delete."""

from __future__ import annotations

import json
from http import HTTPStatus as Status
from typing import Annotated, Any, Literal

from flask import Response, current_app, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field, StringConstraints

from engine.spec.loss import score_name
from service.api import context
from service.api.openapi import answers
from service.api.query_parameters import Query
from service.api.timestamps import rfc3339
from service.store import controls, deletion, disk, jobs, quotas
from service.store.claims import StepScores
from service.store.jobs import ShownState, shown_state
from service.store.states import TERMINAL, ErrorCode
from service.store.tables import Job

MAX_PAGE = 100
NO_NUL = r"^[^\x00]*$"

# How soon a client that polls should ask again.
POLL_SECONDS = 1

ACTION_PROBLEMS = (Status.NOT_FOUND, Status.CONFLICT, Status.SERVICE_UNAVAILABLE)

TAG = Tag(name="jobs", description="Training jobs")

blueprint = APIBlueprint("jobs", __name__, url_prefix="/v1/jobs", abp_tags=[TAG])


class JobPath(BaseModel):
    id: str = Field(description="the job's id, job_…")


class PageQuery(Query):
    limit: int = Field(default=20, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(default=None, description="next_cursor of the page before")
    state: ShownState | None = None
    name: Annotated[str, StringConstraints(pattern=NO_NUL)] | None = Field(
        default=None, description="jobs of exactly this name"
    )
    id_prefix: Annotated[str, StringConstraints(pattern=r"^job_[0-9a-f]{0,24}$")] | None = Field(
        default=None, description="jobs whose ids begin with this"
    )


class JobError(BaseModel):
    """Why a job failed."""

    code: ErrorCode
    detail: str
    step: int | None


class Scores(BaseModel):
    """Loss and score of the parameters after `step` updates; null where it is not defined."""

    step: int
    loss: float | None
    accuracy: float | None = Field(
        description="what the job's `score_name` says: the share of right predictions, or R²"
    )
    validation_loss: float | None
    validation_accuracy: float | None


class Environment(BaseModel):
    """The software and the kind of processor that computed the steps from `from_step` on.

    Where all of it is equal, a job gives the same bits.
    """

    from_step: int
    engine: str
    numpy: str
    numba: str
    processor: str


class JobSummary(BaseModel):
    """A job without its specification, as it stands in lists."""

    id: str
    name: str | None
    parent_id: str | None
    state: ShownState
    terminal: bool = Field(description="the job has ended and will not change any more")
    step: int = Field(description="finished updates")
    steps: int
    progress: float = Field(description="0 to 1; a job that succeeded is at 1")
    loss: float | None = Field(
        description="of the newest logged step: that of the parameters before this step's update. "
        "`final` has the loss of the delivered parameters"
    )
    score_name: Literal["accuracy", "R²"] | None = Field(
        description="what the fields `accuracy` and `validation_accuracy` are: the share of right "
        "predictions, or the coefficient of determination R² in a regression, which is at most 1 "
        "and has no lower bound. null in lists for jobs of older versions"
    )
    accuracy: float | None = Field(description="of the newest logged step; see `score_name`")
    validation_loss: float | None
    validation_accuracy: float | None
    best: Scores | None = Field(
        description="the logged step with the lowest validation loss, or training loss without a "
        "validation set; the earliest where several are equal"
    )
    final: Scores | None = Field(
        description="of the delivered parameters, over all training rows; null until the job has "
        "succeeded"
    )
    eta_seconds: float | None = Field(description="while it runs, once a step has been timed")
    attempt: int
    error: JobError | None
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    links: dict[str, str]


class JobView(JobSummary):
    """A job as it is now."""

    environment: list[Environment] = Field(
        description="what made the job's bits; empty before the first claim, and for jobs of "
        "version 0.1"
    )
    spec: dict[str, Any] = Field(description="the specification with its defaults filled in")


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobSummary]
    next_cursor: str | None


@blueprint.get(
    "",
    operation_id="list_jobs",
    summary="List jobs, newest first",
    responses=answers({200: JobPage}, Status.UNPROCESSABLE_ENTITY, Status.SERVICE_UNAVAILABLE),
)
def page(query: PageQuery) -> Response:
    with context.read() as session:
        found = jobs.page(
            session,
            limit=query.limit,
            cursor=query.cursor,
            state=query.state,
            name=query.name,
            id_prefix=query.id_prefix,
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
    with context.read() as session:
        return _answer(jobs.get(session, path.id))


@blueprint.post(
    "/<string:id>/cancel",
    operation_id="cancel_job",
    summary="Cancel a job",
    responses=answers({200: JobView}, *ACTION_PROBLEMS),
)
def cancel(path: JobPath) -> Response:
    """A queued or paused job is cancelled at once, a running one at its next step."""
    disk.take_reserve(context.current().settings)
    with context.write() as session:
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
    with context.write() as session:
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
    with context.write() as session:
        answer = controls.request_resume(session, path.id)
        if answer.changed and answer.job.state == "queued":
            quotas.check_queue(session, context.current().settings)
    return _answer(answer.job)


@blueprint.delete(
    "/<string:id>",
    operation_id="delete_job",
    summary="Delete a job that has ended",
    responses=answers({}, *ACTION_PROBLEMS) | {204: {"description": "The job is gone"}},
)
def delete(path: JobPath) -> Response:
    """Its history, checkpoints, parameters and events go with it, and cannot be restored.

    A second request is answered 404.
    """
    disk.take_reserve(context.current().settings)
    more = True
    while more:
        with context.write() as session:
            more = deletion.shorten_history(session, path.id)
    with context.write() as session:
        deletion.delete_job(session, path.id)
    return Response(status=Status.NO_CONTENT)


def view(job: Job, **more: Any) -> Response:
    """A `JobView`. The specification goes in as it is stored: it may be megabytes."""
    known = json.loads(job.environment) if job.environment else []
    view = summary(job) | more | {"environment": known}
    if job.score_name is None:  # of an older version, which did not store it
        view["score_name"] = score_name(json.loads(job.spec)["loss"]["kind"])
    head = current_app.json.dumps(view, separators=(",", ":")).removesuffix("}")
    return Response(f'{head},"spec":{job.spec}}}\n', mimetype="application/json")


def summary(job: Job) -> dict[str, Any]:
    """A `JobSummary`."""
    terminal = job.state in TERMINAL
    jobs = f"{request.script_root}/v1/jobs"  # behind the prefix of a proxy, if there is one
    here = f"{jobs}/{job.id}"
    links = {"self": here, "history": f"{here}/history", "events": f"{here}/events"}
    if job.state == "succeeded" or (job.step > 0 and job.state not in ("queued", "running")):
        links["parameters"] = f"{here}/parameters"
    if job.parent_id is not None:
        links["parent"] = f"{jobs}/{job.parent_id}"
    return {
        "id": job.id,
        "name": job.name,
        "parent_id": job.parent_id,
        "state": shown_state(job),
        "terminal": terminal,
        "step": job.step,
        "steps": job.steps,
        "progress": 1.0 if job.state == "succeeded" else job.step / job.steps,
        "loss": job.loss,
        "score_name": job.score_name,
        "accuracy": job.accuracy,
        "validation_loss": job.validation_loss,
        "validation_accuracy": job.validation_accuracy,
        "best": _scores(job, "best"),
        "final": _scores(job, "final"),
        "eta_seconds": _eta_seconds(job),
        "attempt": job.attempt,
        "error": _error(job),
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.updated_at),
        "started_at": _maybe_rfc3339(job.started_at),
        "finished_at": _maybe_rfc3339(job.finished_at),
        "links": links,
    }


def _answer(job: Job) -> Response:
    answer = view(job)
    if job.state not in TERMINAL:
        answer.headers["Retry-After"] = str(POLL_SECONDS)
    return answer


def _scores(job: Job, which: Literal["best", "final"]) -> dict[str, Any] | None:
    if getattr(job, f"{which}_step") is None:
        return None
    return {name: getattr(job, f"{which}_{name}") for name in StepScores._fields}


def _eta_seconds(job: Job) -> float | None:
    if job.state != "running" or not job.step:
        return None
    return round((job.steps - job.step) * job.trained_seconds / job.step, 1)


def _error(job: Job) -> dict[str, Any] | None:
    if job.error_code is None:
        return None
    return {"code": job.error_code, "detail": job.error_detail, "step": job.error_step}


def _maybe_rfc3339(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
