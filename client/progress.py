"""A job's progress: a bar in a terminal, one line now and then anywhere else."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from client import text
from client.api import Job

RATE_WINDOW_SECONDS = 10.0
LINE_SECONDS = 10.0
LINES = 10


def follow(jobs: Iterable[Job], console: Console) -> Job:
    """Shows every job of `jobs`, one job's successive states, and returns the last.

    Raises:
        ValueError: there was none.
    """
    shown = (show_bar if console.is_interactive else show_lines)(jobs, console)
    last = deque(shown, maxlen=1)
    if not last:
        raise ValueError("there is no job to follow")
    return last[0]


def show_bar(jobs: Iterable[Job], console: Console) -> Iterator[Job]:
    bar = Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        *(TextColumn("{task.fields[" + name + "]}") for name in ("steps", "metrics", "speed")),
        console=console,
        expand=True,
    )
    speed = Speed()
    with bar:
        task = bar.add_task("waiting for the service", total=None, steps="", metrics="", speed="")
        for job in jobs:
            speed.saw(job)
            style = text.STATE_STYLES.get(job["state"], "")
            bar.update(
                task,
                description=f"{escape(job['name'] or job['id'])} [{style}]{job['state']}[/]",
                total=job["steps"] if job["step"] or job["terminal"] else None,
                completed=job["step"],
                steps=steps(job),
                metrics=metrics(job),
                speed=pace(job, speed),
            )
            yield job


def show_lines(jobs: Iterable[Job], console: Console) -> Iterator[Job]:
    """A line at each change of state, each tenth of the steps, and every ten seconds of moving."""
    speed = Speed()
    shown: tuple[str, int] | None = None
    shown_step, shown_at = -1, 0.0
    for job in jobs:
        speed.saw(job)
        now = time.monotonic()
        stage = job["state"], LINES * job["step"] // job["steps"]
        slow = job["step"] != shown_step and now - shown_at > LINE_SECONDS
        if stage != shown or slow:
            parts = (job["state"], steps(job), metrics(job), pace(job, speed))
            console.print("  ".join(part for part in parts if part), soft_wrap=True)
            shown, shown_step, shown_at = stage, job["step"], now
        yield job


def steps(job: Job) -> str:
    return f"step {job['step']:,}/{job['steps']:,}"


def metrics(job: Job) -> str:
    if job["loss"] is None:
        return ""
    return f"loss {text.number(job['loss'])}  {text.score_name(job)} {text.score(job)}"


def pace(job: Job, speed: Speed) -> str:
    """Rate and remaining time while it runs, afterwards the time it took."""
    if job["terminal"]:
        seconds = text.took(job)
        return f"in {text.duration(seconds)}" if seconds is not None else ""
    steps_per_second = speed.steps_per_second()
    if not steps_per_second:
        return ""
    remaining = job["eta_seconds"]
    if remaining is None:
        remaining = (job["steps"] - job["step"]) / steps_per_second
    return f"{text.rate(steps_per_second)}  ETA {text.duration(remaining)}"


class Speed:
    """Steps a second over the last ten seconds, as seen from here."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, job: Job) -> None:
        now = time.monotonic()
        if job["state"] != "running" or (self._seen and job["step"] < self._seen[-1][1]):
            self._seen.clear()
        self._seen.append((now, job["step"]))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_WINDOW_SECONDS:
            self._seen.popleft()

    def steps_per_second(self) -> float | None:
        """None until the step has moved."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if last > first else None
