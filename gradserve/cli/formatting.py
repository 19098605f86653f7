"""How numbers, times and jobs read in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gradserve.printable import printable

if TYPE_CHECKING:
    from gradserve.types import Job, JobSummary, Scores

STATE_STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "pausing": "magenta",
    "paused": "magenta",
    "cancelling": "bright_black",
    "cancelled": "bright_black",
    "succeeded": "green",
    "failed": "red",
}
UNKNOWN = "-"


def number(value: float | None, digits: int = 6) -> str:
    """The value with N = `digits` significant digits."""
    return UNKNOWN if value is None else f"{value:.{digits}g}"


def score_name(job: Job) -> str:
    """What `accuracy` measures: the share of right predictions, or R² in a regression."""
    name = job.get("score_name")
    if name is not None:
        return name
    from engine.spec.loss import score_name  # takes a while, and help needs none of it

    return score_name(job["spec"]["loss"]["kind"])


def score(value: float | None, name: str) -> str:
    """An accuracy as a percentage, an R² as a number."""
    if value is None:
        return UNKNOWN
    if name != "R²":
        return f"{100 * value:.1f} %"
    # R² has no lower bound: that of a job about to diverge would fill the screen with digits.
    return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"


def listed_score(job: JobSummary) -> str:
    """The score of the newest logged step, by its name where it is not an accuracy."""
    name, value = job.get("score_name"), job["accuracy"]
    if name is None or value is None:  # an older service, or job, does not say what it is
        return number(value, digits=3)
    return score(value, name) if name == "accuracy" else f"{name} {score(value, name)}"


def figures(scores: Scores, name: str) -> str:
    """`loss 0.0123, accuracy 98.0 %`, and the same of the validation rows where there are any."""
    text = f"loss {number(scores['loss'])}, {name} {score(scores['accuracy'], name)}"
    if scores["validation_loss"] is None:
        return text
    validation = score(scores["validation_accuracy"], name)
    return f"{text}; validation loss {number(scores['validation_loss'])}, {name} {validation}"


def logged(job: JobSummary) -> Scores:
    """The figures of the newest logged step."""
    return {
        "step": job["step"],
        "loss": job["loss"],
        "accuracy": job["accuracy"],
        "validation_loss": job["validation_loss"],
        "validation_accuracy": job["validation_accuracy"],
    }


def delivered(job: JobSummary) -> Scores:
    """The figures of the delivered parameters; of the newest logged step where there are none."""
    return job.get("final") or logged(job)


def duration(seconds: float | None) -> str:
    """0.42 s, 12.3 s, 4:05, 1:02:03."""
    if seconds is None:
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate(steps_per_second: float) -> str:
    digits = 0 if steps_per_second >= 100 else 1
    return f"{steps_per_second:,.{digits}f} steps/s"


def when(time: str | None) -> str:
    """An RFC 3339 time on this machine's clock."""
    return UNKNOWN if time is None else f"{parse(time).astimezone():%Y-%m-%d %H:%M:%S}"


def parse(time: str) -> datetime:
    return datetime.fromisoformat(time)


def took(job: Job) -> float | None:
    """Seconds from the first claim to the end, or to now; None before it started."""
    if job["started_at"] is None:
        return None
    end = job["finished_at"]
    stop = parse(end) if end else datetime.now(UTC)
    return max((stop - parse(job["started_at"])).total_seconds(), 0.0)


def failure(job: Job) -> str | None:
    """Why a job ended without success, as one sentence; None for any other."""
    if job["state"] == "cancelled":
        return f"{job['id']} was cancelled at step {job['step']:,}"
    error = job["error"]
    return error and f"{job['id']} failed ({error['code']}): {printable(error['detail'])}"
