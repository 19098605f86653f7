"""Numbers, times and jobs as text for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from gradserve.printable import printable
from gradserve.types import Figures, Job, JobState

STATE_STYLES: dict[JobState, str] = {
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
REGRESSIONS = ("mse", "mae", "huber")


def number(value: float | None, digits: int = 6) -> str:
    """The value with `digits` significant digits."""
    return UNKNOWN if value is None else f"{value:.{digits}g}"


def score_name(job: Job) -> str:
    """The name of the score in `accuracy`: "R²" in a regression, else "accuracy"."""
    return "R²" if job["spec"]["loss"]["kind"] in REGRESSIONS else "accuracy"


def score(job: Job) -> str:
    """The score of the newest logged step."""
    return score_text(score_name(job), job["accuracy"])


def score_text(name: str, value: float | None) -> str:
    """A score of the given name: an accuracy in per cent, R² with four decimals."""
    if value is None:
        return UNKNOWN
    if name != "R²":
        return f"{100 * value:.1f} %"
    # R² has no lower bound: that of a job about to diverge would fill the screen with digits.
    return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"


def figures(job: Job, shown: Figures) -> str:
    """`loss 0.0109, accuracy 100.0 % (validation loss 0.02, accuracy 98.0 %) after 100 steps`."""
    name = score_name(job)

    def pair(loss: float | None, value: float | None) -> str:
        return f"loss {number(loss)}, {name} {score_text(name, value)}"

    text = pair(shown["loss"], shown["accuracy"])
    if shown["validation_loss"] is not None or shown["validation_accuracy"] is not None:
        text += f" (validation {pair(shown['validation_loss'], shown['validation_accuracy'])})"
    return f"{text} after {shown['step']:,} steps"


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
    """An RFC 3339 time in this machine's time zone."""
    return UNKNOWN if time is None else f"{parse(time).astimezone():%Y-%m-%d %H:%M:%S}"


def parse(time: str) -> datetime:
    return datetime.fromisoformat(time)


def took(job: Job) -> float | None:
    """Seconds from the start of training to its end, or until now; None before the start."""
    if job["started_at"] is None:
        return None
    end = job["finished_at"]
    stop = parse(end) if end else datetime.now(UTC)
    return max((stop - parse(job["started_at"])).total_seconds(), 0.0)


def failure(job: Job) -> str | None:
    """The reason why a job ended without success, as one sentence; None for any other job."""
    if job["state"] == "cancelled":
        return f"{job['id']} was cancelled at step {job['step']:,}"
    error = job["error"]
    return error and f"{job['id']} failed ({error['code']}): {printable(error['detail'])}"
