"""The documents of the HTTP API as the client receives them.

A test compares each of them, field by field, with the OpenAPI document of the service. A field
that is NotRequired is not sent by every service of this version's interface.
"""

# Without `from __future__ import annotations`, which hides NotRequired from __required_keys__.

from typing import Any, Literal, NotRequired, TypedDict, get_args

JobState = Literal[
    "queued",
    "running",
    "pausing",
    "paused",
    "cancelling",
    "cancelled",
    "succeeded",
    "failed",
]
JOB_STATES: tuple[JobState, ...] = get_args(JobState)


class JobError(TypedDict):
    """The reason why a job failed."""

    code: str
    detail: str
    step: int | None


class Figures(TypedDict):
    """Loss and score after `step` updates; None where not finite or without validation rows."""

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None


class Environment(TypedDict):
    """The versions and the kind of processor that trained a job from one step on."""

    from_step: int
    engine: str
    numpy: str
    numba: str
    processor: str


class SubmissionWarning(TypedDict):
    """A likely mistake in a specification that is trained nevertheless."""

    pointer: str
    detail: str


class JobSummary(TypedDict):
    """A job as it stands in a list; times are RFC 3339 texts in UTC.

    `loss` and its kin are those of the newest logged step, `final` those of the delivered
    parameters, `best` those of the logged step with the lowest loss on validation rows.
    """

    id: str
    name: str | None
    parent_id: str | None
    state: JobState
    terminal: bool
    step: int
    steps: int
    progress: float
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    final: NotRequired[Figures | None]
    best: NotRequired[Figures | None]
    eta_seconds: float | None
    attempt: int
    error: JobError | None
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    links: dict[str, str]


class Job(JobSummary):
    """A job with its specification, defaults filled in.

    `warnings` are sent in the response to a submission only.
    """

    spec: dict[str, Any]
    environment: NotRequired[list[Environment]]
    warnings: NotRequired[list[SubmissionWarning]]


class HistoryRow(TypedDict):
    """One logged step; None where a number is unknown or not finite."""

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    gradient_norm: float | None
    elapsed_seconds: NotRequired[float | None]


class LayerParameters(TypedDict):
    """Parameters of one layer: `weights` is units × inputs, `biases` one number per unit."""

    weights: list[list[float]]
    biases: list[float]
    activation: str


class Parameters(TypedDict):
    """The delivered weights and biases of a job."""

    step: int
    sha256: str
    layers: list[LayerParameters]


Jobs = list[JobSummary]
History = list[HistoryRow]
