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


class Event(TypedDict):
    """Something that happened to a job; `id` counts from 1."""

    id: int
    at: str
    kind: str
    from_state: str | None
    to_state: str
    actor: str
    detail: str | None


# In this form, because one of its fields is called as a word of Python is.
Prediction = TypedDict(
    "Prediction",
    {
        "value": float | None,
        "class": str | None,
        "score": float | None,
        "probabilities": dict[str, float] | None,
    },
    total=False,
)
"""The answer for a row: `value` in a regression; else `class`, with `score` or `probabilities`."""


class Predictions(TypedDict):
    """An answer per row, by the parameters after `step` updates."""

    step: int
    items: list[Prediction]


class ClassScores(TypedDict):
    """How well one class is told from the others; None where nothing is to be divided."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    rows: int


class Residuals(TypedDict):
    """Target minus prediction, in the target's unit."""

    mean: float | None
    standard_deviation: float | None
    mean_absolute: float | None
    min: float | None
    median: float | None
    max: float | None


class Evaluation(TypedDict):
    """A network judged on rows whose targets are known.

    `score` is what `score_name` says: accuracy or R². `confusion[i][j]` rows of class i were
    predicted as class j, in the order of `classes`; both are None in a regression, and `residuals`
    in a classification.
    """

    step: int
    of: str
    rows: int
    loss: float | None
    loss_unit: str
    score_name: str
    score: float | None
    classes: list[ClassScores] | None
    confusion: list[list[int]] | None
    residuals: Residuals | None
    links: dict[str, str]


class JudgedRow(TypedDict):
    """A row of a data set, and what the network says of it; `row` is its place there, from 0."""

    row: int
    inputs: dict[str, float | bool | str | None]
    target: float | str
    prediction: Prediction
    residual: float | None
    loss: float | None


Events = list[Event]
JudgedRows = list[JudgedRow]
Jobs = list[JobSummary]
History = list[HistoryRow]
