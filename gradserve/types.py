"""The objects that the service sends, as JSON has them. Times are RFC 3339 texts in UTC."""

# Without `from __future__ import annotations`, which hides NotRequired from __required_keys__.

from typing import Any, NotRequired, TypedDict


class JobError(TypedDict):
    """Why a job failed; `step` is the last finished one, None where there was none."""

    code: str
    detail: str
    step: int | None


class Scores(TypedDict):
    """Loss and score of the parameters after `step` updates.

    `accuracy` is what the job's `score_name` says.
    """

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None


class Environment(TypedDict):
    """The software and the kind of processor that computed the steps from `from_step` on."""

    from_step: int
    engine: str
    numpy: str
    numba: str
    processor: str


class SubmissionWarning(TypedDict):
    """A likely mistake in a specification that is trained all the same."""

    pointer: str
    detail: str


class JobSummary(TypedDict):
    """A job as it stands in a list.

    `final` belongs to the parameters that are delivered, `best` to the best logged step; both are
    missing where an older service does not know them.
    """

    id: str
    name: str | None
    parent_id: str | None
    state: str
    terminal: bool
    step: int
    steps: int
    progress: float
    loss: float | None
    score_name: NotRequired[str | None]
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    final: NotRequired[Scores | None]
    best: NotRequired[Scores | None]
    eta_seconds: float | None
    attempt: int
    error: JobError | None
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    links: dict[str, str]


class Job(JobSummary):
    """A job with its specification, defaults filled in."""

    spec: dict[str, Any]
    environment: NotRequired[list[Environment]]


class SubmittedJob(Job):
    """The response to a submission."""

    warnings: NotRequired[list[SubmissionWarning]]


class HistoryRow(TypedDict):
    """One logged step. A value that is unknown or not finite is None."""

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    gradient_norm: float | None
    elapsed_seconds: NotRequired[float | None]


class LayerParameters(TypedDict):
    """`weights` is units × inputs; `biases` has one number per unit."""

    weights: list[list[float]]
    biases: list[float]
    activation: str


class Parameters(TypedDict):
    """The parameters of a job after `step` updates, and what the model remembers of its data.

    `engine.data.preprocessing.Preprocessing` describes `preprocessing`, which is missing where an
    older service does not know it.
    """

    step: int
    sha256: str
    layers: list[LayerParameters]
    preprocessing: NotRequired[dict[str, Any]]


Jobs = list[JobSummary]
History = list[HistoryRow]
