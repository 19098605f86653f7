"""Peers against each other: first the losses are compared, then the peers take turns.

Every turn measures each contestant once, so that other load on the machine affects all of them
alike. Ratios are formed within a turn; figures are medians over the turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from benchmarks.cases import Case

AGREEMENT = 1e-9
"""The largest allowed difference of losses, relative to the larger one."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "NPROC": "1",  # XLA's thread pool
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
WITH_AVX2 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+64bit,+cmov,+cx8,+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,"
    "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe",
    "XLA_FLAGS": f"{ONE_THREAD['XLA_FLAGS']} --xla_cpu_max_isa=AVX2",
}
"""A processor of 2013 and later, without AVX-512."""


class Unfair(Exception):
    """Peers cannot be compared: losses differ, a peer used several threads, or it crashed."""


@dataclass(frozen=True)
class Peer:
    """A way to run a case: a function of a module in `benchmarks.peers`, and its environment."""

    name: str
    module: str
    function: str
    avx2: bool = False


@dataclass(frozen=True)
class Contestant:
    """A peer with its case.

    Attributes:
        steps: how many steps are timed.
        compared: how many steps have their losses compared; 0 for a peer without losses.
        target: how many times faster than this peer gradserve has to be.
    """

    peer: Peer
    case: Case
    steps: int
    compared: int = 0
    target: float | None = None


@dataclass(frozen=True)
class Series:
    """Seconds of each turn, and of the first call."""

    peer: Peer
    steps: int
    cpu: list[float]
    wall: list[float]
    first: float

    @property
    def step(self) -> float:
        """Seconds of processor time per step."""
        return statistics.median(self.cpu) / self.steps

    def over(self, other: Series) -> float:
        """How many times longer a step takes than the other's."""
        pairs = zip(self.cpu, other.cpu, strict=True)
        return statistics.median(a / b for a, b in pairs) * other.steps / self.steps


class Workers:
    """The peers' processes, each started when it is first needed."""

    def __init__(self) -> None:
        self._processes: dict[tuple[str, bool], subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.communicate()

    def losses(self, peer: Peer, case: Case, steps: int) -> list[float]:
        found: list[float] = self._ask("losses", peer, case, steps)["losses"]
        return found

    def time(self, peer: Peer, case: Case, steps: int) -> dict[str, float]:
        """Seconds: `cpu`, `wall` and what the `first` call took.

        Raises:
            Unfair: the peer used more than one thread.
        """
        found = self._ask("time", peer, case, steps)
        if found["cpu"] > 1.1 * found["wall"] + 0.01:
            raise Unfair(f"{peer.name} uses more than one thread")
        return found

    def _ask(self, question: str, peer: Peer, case: Case, steps: int) -> dict[str, Any]:
        process = self._process(peer)
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"ask": question, "function": peer.function, "case": case, "steps": steps}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise Unfair(f"the process of {peer.name} ended with exit code {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _process(self, peer: Peer) -> subprocess.Popen[str]:
        key = peer.module, peer.avx2
        if key not in self._processes:
            self._processes[key] = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", peer.module],
                env=os.environ | ONE_THREAD | (WITH_AVX2 if peer.avx2 else {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._processes[key]


def compare(workers: Workers, contestants: Sequence[Contestant]) -> float:
    """The largest relative difference between losses of the first contestant and the others'.

    Raises:
        Unfair: the difference is above AGREEMENT.
    """
    reference, *others = [c for c in contestants if c.compared > 0]
    worst = 0.0
    for other in others:
        ours = workers.losses(reference.peer, reference.case, other.compared)
        theirs = workers.losses(other.peer, other.case, other.compared)
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            difference = 0.0 if a == b else abs(a - b) / max(abs(a), abs(b))
            if not difference <= AGREEMENT:
                raise Unfair(
                    f"at step {k} of {other.compared} the loss of {reference.peer.name} is "
                    f"{a!r}, that of {other.peer.name} {b!r}"
                )
            worst = max(worst, difference)
    return worst


def measure(workers: Workers, contestants: Sequence[Contestant], turns: int) -> list[Series]:
    """One series per contestant; the order is reversed in every second turn."""
    answers: list[list[dict[str, float]]] = [[] for _ in contestants]
    for turn in range(turns):
        paired = list(zip(contestants, answers, strict=True))
        for contestant, given in paired[:: 1 if turn % 2 == 0 else -1]:
            given.append(workers.time(contestant.peer, contestant.case, contestant.steps))
    return [
        Series(
            peer=contestant.peer,
            steps=contestant.steps,
            cpu=[answer["cpu"] for answer in given],
            wall=[answer["wall"] for answer in given],
            first=given[0]["first"],
        )
        for contestant, given in zip(contestants, answers, strict=True)
    ]
