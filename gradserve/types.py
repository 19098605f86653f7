"""The objects that the service sends, as JSON has them. Times are RFC 3339 texts in UTC."""

# Without `from __future__ import annotations`, which hides NotRequired from __required_keys__.

from typing import Any, NotRequired, TypedDict


class JobError(TypedDict):
    """Why a job failed; `step` is the last finished one, None where there was none."""

    code: str
    detail: str
    step: int | None


class Scores(TypedDict):
    """Loss and accuracy (R² in a regression) of the parameters after `step` updates."""

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
    """The parameters of a job after `step` updates."""

    step: int
    sha256: str
    layers: list[LayerParameters]


class Count(TypedDict):
    """How many rows have a text or a class."""

    name: str
    count: int


class Column(TypedDict):
    """A column of inputs in figures: `min`, `mean` and `max`, or `categories` if it holds texts."""

    name: str
    type: str
    count: int
    missing: int
    min: NotRequired[float | None]
    mean: NotRequired[float | None]
    max: NotRequired[float | None]
    categories: NotRequired[list[Count] | None]


class Target(TypedDict):
    """The column to predict in figures. `classes` are names, or whole numbers of few values."""

    name: str
    type: str
    count: int
    missing: int
    min: NotRequired[float | None]
    mean: NotRequired[float | None]
    max: NotRequired[float | None]
    classes: NotRequired[list[Count] | None]


class DatasetSummary(TypedDict):
    """A stored data set as it stands in a list; `size` are the bytes that count for its owner."""

    id: str
    name: str | None
    kind: str
    rows: int
    size: int
    created_at: str
    links: dict[str, str]


class Dataset(DatasetSummary):
    """A stored data set and what was read of it. Only tables have the fields from `header` on."""

    columns: list[Column]
    target: Target
    header: NotRequired[bool | None]
    delimiter: NotRequired[str | None]
    decimal: NotRequired[str | None]
    ignored: NotRequired[list[str] | None]
    dropped: NotRequired[int | None]
    warnings: NotRequired[list[str] | None]


class DatasetRow(TypedDict):
    """A row: its number from 0, its values by the names of the columns, and its target."""

    row: int
    values: dict[str, float | bool | str | None]
    target: float | str


Datasets = list[DatasetSummary]
Jobs = list[JobSummary]
History = list[HistoryRow]
