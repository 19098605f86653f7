"""The process that one peer is measured in.

    python -m benchmarks.worker jax

reads requests from standard input, one JSON object per line, and writes one response for each:

    {"ask": "losses", "function", "case", "steps"}    {"losses": [the loss of each step]}
    {"ask": "time", "function", "case", "steps"}      {"cpu", "wall", "first"} in seconds

`first` is the time of the first call, which compiles. A process of its own keeps a peer's threads,
flags and memory away from the others.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from benchmarks.peers import Work


@dataclass(frozen=True)
class Warm:
    """Work that was done once, so that everything it needs is compiled and loaded."""

    work: Work
    losses: list[float]
    seconds: float


@cache
def warm(module: str, function: str, case: str, steps: int) -> Warm:
    work: Work = getattr(import_module(f"benchmarks.peers.{module}"), function)(
        json.loads(case), steps
    )
    begun = time.perf_counter()
    losses = list(work())
    return Warm(work, losses, time.perf_counter() - begun)


def timed(work: Work) -> dict[str, float]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall}


def main() -> None:
    module = sys.argv[1]
    # Ctrl-C is for the parent; when the parent has gone, standard input ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A library's own output must not mix with the responses.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        case = json.dumps(request["case"])
        found = warm(module, request["function"], case, request["steps"])
        if request["ask"] == "losses":
            answer: dict[str, Any] = {"losses": found.losses}
        else:
            answer = timed(found.work) | {"first": found.seconds}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
