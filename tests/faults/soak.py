"""A service under load that is struck again and again, and how long its jobs take to resume.

`Soak` keeps more than twenty jobs running, strikes (`tests.faults.blows`), and watches each job
that was struck until it has a new checkpoint or has ended.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

import httpx
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from engine.spec import JobSpec
from service.store.states import TERMINAL
from service.store.tables import Job
from tests.faults.specs import make_spec
from tests.faults.world import World

AWAY = (DBAPIError, PoolTimeout)
WATCH_SECONDS = 0.1

EXECUTORS = ("native", "scalar")
# Different jobs per executor; the undisturbed run of each is computed once.
SEEDS = 6


@dataclass
class Blow:
    """One fault that was injected: the jobs it struck, and how long each took to resume.

    A job that is struck again before it has resumed is timed from the later blow.
    """

    fault: str
    at: float
    steps: dict[str, int]
    seconds: dict[str, float] = field(default_factory=dict)
    struck_again: set[str] = field(default_factory=set)

    @property
    def pending(self) -> list[str]:
        return [id for id in self.steps if id not in self.seconds and id not in self.struck_again]


class Soak:
    """Load and watch over a world. All strikes come from the thread that made the world."""

    def __init__(self, world: World, *, active: int, job_seconds: float, seed: int = 0) -> None:
        self.world = world
        self.blows: list[Blow] = []
        self.expected: dict[str, tuple[str, str]] = {}
        self.random = random.Random(seed)
        self._active = active
        self._job_seconds = job_seconds
        self._number = 0
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._outages: list[list[float]] = []
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._feeding = threading.Event()
        self._feeding.set()
        self._posting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._every, args=[work], daemon=True)
            for work in (self._feed, self._watch)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    # Load

    def post(self, spec: JobSpec) -> str:
        """Submits as a careful client does: with the same key until there is a response."""
        key = uuid.uuid4().hex
        while not self._stop.is_set():
            with suppress(httpx.TransportError):
                answer = self.world.post(spec, **{"Idempotency-Key": key})
                if answer.status_code == 201:
                    return str(answer.json()["id"])
                assert answer.status_code == 503, answer.text
            self._stop.wait(0.1)
        raise RuntimeError("stopped before the job was accepted")

    def stop_feeding(self) -> None:
        """No job is accepted after this."""
        self._feeding.clear()
        with self._posting:
            pass

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended."""
        query = select(Job).where(Job.state.not_in(TERMINAL)).order_by(Job.pk)
        with self.world.sessions.begin() as session:
            return list(session.scalars(query))

    def running(self) -> list[Job]:
        return [job for job in self.unfinished() if job.state == "running"]

    def _feed(self) -> None:
        missing = self._active - len(self.unfinished())
        for _ in range(missing):
            with self._posting:
                if not self._feeding.is_set():
                    return
                self._number += 1
                executor = EXECUTORS[self._number % 2]
                seed = self._number % SEEDS
                self.post(make_spec(self._job_seconds, seed=seed, executor=executor))

    # Strikes

    def struck(self, fault: str, ids: Iterable[str]) -> Blow:
        """Notes a blow; the jobs are watched from here on."""
        with self.world.sessions.begin() as session:
            rows = session.execute(select(Job.id, Job.step).where(Job.id.in_(list(ids)))).all()
        blow = Blow(fault, time.monotonic(), dict(rows))
        for earlier in self.blows:
            earlier.struck_again.update(id for id in earlier.pending if id in blow.steps)
        self.blows.append(blow)
        return blow

    def pending(self) -> set[str]:
        """Jobs that were struck and have not resumed since."""
        return {id for blow in list(self.blows) for id in blow.pending}

    @contextmanager
    def outage(self) -> Iterator[None]:
        """A time in which no job can continue; it does not count in the times of earlier blows."""
        interval = [time.monotonic(), float("inf")]
        self._outages.append(interval)
        try:
            yield
        finally:
            interval[1] = time.monotonic()

    def _downtime(self, since: float, until: float) -> float:
        return sum(max(0.0, min(end, until) - max(start, since)) for start, end in self._outages)

    def victims(self) -> list[Job]:
        """Running jobs that are not struck already, in random order."""
        down = self.pending()
        able = [job for job in self.running() if job.id not in down and job.step > 0]
        self.random.shuffle(able)
        return able

    def victim(self) -> Job:
        """A job from `victims`, as soon as there is one."""
        while True:
            for job in self.victims():
                return job
            self.run_for(WATCH_SECONDS)

    def process_of(self, job: Job) -> int:
        """The pool process that trains the job."""
        return int(str(job.worker).rpartition(":")[2])

    def expect_failure(self, fault: str, id: str, code: str) -> None:
        """Notes a job that is a fault itself and must fail with this code."""
        self.blows.append(Blow(fault, time.monotonic(), {}))
        self.expected[id] = (fault, code)

    def owned_by(self, pids: Iterable[int]) -> list[str]:
        """The running jobs of these pool processes."""
        wanted = set(pids)
        return [job.id for job in self.running() if self.process_of(job) in wanted]

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Lets `run_for` perform the action after this many seconds."""
        self._later.append((time.monotonic() + seconds, action))

    def run_for(self, seconds: float) -> None:
        """Lets the service run, and performs the postponed actions that are due."""
        until = time.monotonic() + seconds
        while True:
            if self._error is not None and not self._stop.is_set():
                raise self._error
            now = time.monotonic()
            for due in [entry for entry in self._later if entry[0] <= now]:
                self._later.remove(due)
                due[1]()
            if now >= until:
                return
            self._stop.wait(min(0.05, until - now))

    def settle(self, seconds: float) -> None:
        """Waits until every struck job has resumed."""
        deadline = time.monotonic() + seconds
        while (self._later or self.pending()) and time.monotonic() < deadline:
            self.run_for(WATCH_SECONDS)

    # Watching

    def _watch(self) -> None:
        down = self.pending()
        if not down:
            return
        query = select(Job.id, Job.state, Job.step).where(Job.id.in_(down))
        with self.world.sessions.begin() as session:
            found = {id: (state, step) for id, state, step in session.execute(query)}
        now = time.monotonic()
        for blow in list(self.blows):
            for id in blow.pending:
                state, step = found.get(id, ("", -1))
                if state in TERMINAL or step > blow.steps[id]:
                    blow.seconds[id] = now - blow.at - self._downtime(blow.at, now)

    def _every(self, work: Callable[[], None]) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            try:
                work()
            except AWAY:
                continue
            except Exception as error:
                self._error = error
                return
