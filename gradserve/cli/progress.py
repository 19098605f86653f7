"""A job's progress: a bar in a terminal, occasional lines anywhere else."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from gradserve.cli import formatting
from gradserve.printable import printable
from gradserve.types import Job

RATE_WINDOW_SECONDS = 10.0
LINE_SECONDS = 10.0
LINES = 10


def follow(jobs: Iterable[Job], console: Console) -> Job:
    """Shows every job of `jobs`, one job's successive states, and returns the last.

    Raises:
        ValueError: `jobs` is empty.
    """
    shown = (show_bar if console.is_interactive else show_lines)(jobs, console)
    last = deque(shown, maxlen=1)
    if not last:
        raise ValueError("there is no job to follow")
    return last[0]


class Bar(Progress):
    """A bar with a line of numbers below, so that both fit into a narrow terminal."""

    numbers = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(f"  {self.numbers}", no_wrap=True, overflow="ellipsis")


def show_bar(jobs: Iterable[Job], console: Console) -> Iterator[Job]:
    bar = Bar(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[steps]}"),
        console=console,
        expand=True,
    )
    speed = Speed()
    with bar:
        task = bar.add_task("waiting for the service", total=None, steps="")
        for job in jobs:
            speed.saw(job)
            style = formatting.STATE_STYLES.get(job["state"], "")
            name = escape(printable(job["name"] or ""))
            bar.numbers = numbers(job, speed)
            bar.update(
                task,
                description=f"[{style}]{job['state']}[/] {name}",
                # Without a total the bar moves back and forth: the job waits for a worker.
                total=job["steps"] if job["step"] or job["terminal"] else None,
                completed=job["step"],
                steps=steps(job),
            )
            yield job


def show_lines(jobs: Iterable[Job], console: Console) -> Iterator[Job]:
    """A line per change of state and per tenth of the steps, and one every ten seconds."""
    speed = Speed()
    shown: tuple[str, int] | None = None
    shown_step, shown_at = -1, 0.0
    for job in jobs:
        speed.saw(job)
        now = time.monotonic()
        stage = job["state"], LINES * job["step"] // job["steps"]
        slow = job["step"] != shown_step and now - shown_at > LINE_SECONDS
        if stage != shown or slow:
            line = f"{job['state']}  {steps(job)}  {numbers(job, speed)}"
            console.print(line.rstrip(), soft_wrap=True)
            shown, shown_step, shown_at = stage, job["step"], now
        yield job


def steps(job: Job) -> str:
    return f"step {job['step']:,}/{job['steps']:,}"


def numbers(job: Job, speed: Speed) -> str:
    """Loss, accuracy, rate and remaining time; at the end the time it took instead."""
    parts = []
    if job["loss"] is not None:
        name = formatting.score_name(job)
        parts += [
            f"loss {formatting.number(job['loss'])}",
            f"{name} {formatting.score(job['accuracy'], name)}",
        ]
    steps_per_second = speed.steps_per_second()
    seconds = formatting.took(job)
    if job["terminal"] and seconds is not None:
        parts.append(f"in {formatting.duration(seconds)}")
    elif steps_per_second and not job["terminal"]:
        remaining = job["eta_seconds"]
        if remaining is None:
            remaining = (job["steps"] - job["step"]) / steps_per_second
        parts += [formatting.rate(steps_per_second), f"ETA {formatting.duration(remaining)}"]
    return "  ".join(parts)


class Speed:
    """Steps per second over the last ten seconds, as the client sees them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, job: Job) -> None:
        now = self._clock()
        if job["state"] != "running":
            self._seen.clear()
        self._seen.append((now, job["step"]))
        while len(self._seen) > 2 and now - self._seen[1][0] > RATE_WINDOW_SECONDS:
            self._seen.popleft()

    def steps_per_second(self) -> float | None:
        """None until the step has moved."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if last > first else None
