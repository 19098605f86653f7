"""Time limits for gradserve itself: the start of a job, and tiny jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cases import WIDE, XOR
from benchmarks.race import ONE_THREAD, Contestant, Peer, Series, Unfair, Workers, measure

FORKED = Peer("gradserve, native", "", "")


@dataclass(frozen=True)
class Limit:
    """A measured time, and the most it may be in seconds; None where it is only reported."""

    title: str
    series: Series
    most: float | None


RECORDINGS = Contestant(Peer("gradserve, native", "gradserve", "recordings"), WIDE, 1)
STARTS = Contestant(Peer("gradserve, native", "gradserve", "starts"), WIDE, 1)
JOBS = Contestant(Peer("gradserve, native", "gradserve", "jobs"), XOR, 100)


def measure_limits(workers: Workers, turns: int) -> Sequence[Limit]:
    recordings, starts, jobs = measure(workers, (RECORDINGS, STARTS, JOBS), turns)
    first, *_, fourth = in_forked_children(turns)
    return (
        Limit("recording and fusing 100,234 parameters", recordings, 0.4),
        Limit("the same, with weights drawn and the model called on Values", starts, None),
        Limit("20 steps of xor 2-8-1 in `train()`, warm", jobs, 1e-3),
        Limit("the same in a forked child, the fourth job", fourth, 1e-3),
        Limit("the same in a forked child, the first job", first, None),
    )


def in_forked_children(count: int) -> list[Series]:
    """The first jobs of children that a process forks after `native.warm_up()`."""
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.forks", str(count)],
        env=os.environ | ONE_THREAD,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.returncode != 0:
        raise Unfair(f"the forking process ended with exit code {process.returncode}")
    found = []
    for jobs in zip(*json.loads(process.stdout), strict=True):
        cpu, wall = zip(*jobs, strict=True)
        found.append(Series(FORKED, 1, list(cpu), list(wall), wall[0]))
    return found
