"""What goes over the wire: requests, answers, and how a row becomes an answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from engine.spec import JobSpec
from engine.spec.warnings import warnings
from service.store.claims import StepScores
from service.store.jobs import ShownState, shown_state
from service.store.states import TERMINAL, ErrorCode, JobState
from service.store.tables import Event, Job

MAX_PAGE = 100
MAX_HISTORY = 10_000
MAX_EVENTS = 1_000
MAX_INTEGER = 2**31 - 1

NO_NUL = r"^[^\x00]*$"


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

    def spec(self) -> JobSpec:
        """The specification alone; it has been validated with the request."""
        return JobSpec.model_construct(
            **{name: getattr(self, name) for name in JobSpec.model_fields}
        )


class Query(BaseModel):
    """Parameters come as text, so numbers are read from it; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class JobPath(BaseModel):
    id: str = Field(description="the job's id, job_…")


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


class PageQuery(Query):
    limit: int = Field(default=20, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(default=None, description="next_cursor of the page before")
    state: ShownState | None = None
    name: Annotated[str, StringConstraints(pattern=NO_NUL)] | None = Field(
        default=None, description="jobs of exactly this name"
    )


class HistoryQuery(Query):
    after_step: int = Field(default=-1, ge=-1, le=MAX_INTEGER)
    limit: int = Field(default=1_000, ge=1, le=MAX_HISTORY)
    max_points: int | None = Field(
        default=None,
        ge=3,
        le=MAX_HISTORY,
        description="thin the whole history to so many rows that look alike when drawn",
    )


class EventsQuery(Query):
    after: int = Field(default=0, ge=0, le=2**53, description="id of the last event known")
    limit: int = Field(default=MAX_EVENTS, ge=1, le=MAX_EVENTS)


class JobError(BaseModel):
    """Why a job failed."""

    code: ErrorCode
    detail: str
    step: int | None


class Scores(BaseModel):
    """Loss and score of the parameters after `step` updates; null where it is not defined."""

    step: int
    loss: float | None
    accuracy: float | None = Field(description="share of right predictions; R² in a regression")
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
    accuracy: float | None
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
    work: int = Field(description="about how many multiplications training takes")
    warnings: list[Warning] = Field(description="likely mistakes that are trained all the same")


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobSummary]
    next_cursor: str | None


class HistoryItem(BaseModel):
    """One logged step; the loss is the one before the step's update."""

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    gradient_norm: float | None
    elapsed_seconds: float | None = Field(
        description="seconds of training up to the end of this step, pauses left out; measured at "
        "each progress commit and interpolated between two"
    )


class HistoryPage(BaseModel):
    """Logged steps in order."""

    items: list[HistoryItem]
    next_after_step: int | None = Field(description="null when there are no more rows by now")


class LayerView(BaseModel):
    """Parameters of one layer."""

    weights: list[list[float]] = Field(description="units × inputs")
    biases: list[float]
    activation: str


class ParametersView(BaseModel):
    """Final parameters, written so that reading them back gives the same bits."""

    step: int
    sha256: str = Field(
        description="of the numbers as little-endian float64, neuron by neuron in layer order, "
        "weights then bias"
    )
    layers: list[LayerView]


class EventView(BaseModel):
    """Something that happened to a job."""

    id: int
    at: str
    kind: str
    from_state: JobState | None
    to_state: JobState
    actor: str = Field(
        description="api, recovery (in events of version 0.1: sweeper), or the worker's name"
    )
    detail: str | None


class EventList(BaseModel):
    """Events, oldest first."""

    items: list[EventView]


def summary(job: Job) -> dict[str, Any]:
    """A `JobSummary`."""
    terminal = job.state in TERMINAL
    here = f"/v1/jobs/{job.id}"
    links = {"self": here, "history": f"{here}/history", "events": f"{here}/events"}
    if job.state == "succeeded":
        links["parameters"] = f"{here}/parameters"
    if job.parent_id is not None:
        links["parent"] = f"/v1/jobs/{job.parent_id}"
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


def validated(spec: JobSpec) -> dict[str, Any]:
    """A `Validated`."""
    return {
        "spec": spec.model_dump(mode="json"),
        "parameters": spec.parameters(),
        "work": spec.work(),
        "warnings": warning_list(spec),
    }


def warning_list(spec: JobSpec) -> list[dict[str, str]]:
    """The `Warning`s of a specification."""
    return [warning._asdict() for warning in warnings(spec)]


def event_view(event: Event) -> dict[str, Any]:
    """An `EventView`."""
    return {
        "id": event.pk,
        "at": rfc3339(event.at),
        "kind": event.kind,
        "from_state": event.from_state,
        "to_state": event.to_state,
        "actor": event.actor,
        "detail": event.detail,
    }


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as UTC in milliseconds, e.g. 2024-05-01T12:00:00.000Z."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _maybe_rfc3339(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


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
