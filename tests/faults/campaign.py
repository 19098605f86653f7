"""Long runs: many faults over many jobs, and their results."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store import jobs
from service.store.tables import Event, Job
from tests.faults import blows, oracle
from tests.faults.blows import BLOWS
from tests.faults.clusters import Cluster
from tests.faults.oracle import Complaint
from tests.faults.report import Line, line
from tests.faults.soak import Blow, Soak
from tests.faults.world import World, make_audited_database
from tests.processes import until

SHORT = {
    "lease_seconds": 3.0,
    "recovery_seconds": 0.3,
    "republish_seconds": 2.0,
    "progress_seconds": 0.25,
}
WORKERS = 4
SLOTS = 8
# More than twenty jobs run at once, and a slot is free for a job that lost its own.
ACTIVE = 24
JOB_SECONDS = 6.0
LONG_JOB_SECONDS = 200.0
PAUSE_SECONDS = 0.5

# The number of blows of each kind in a run of 500 kills.
KILLS = {"F1": 300, "F2": 40, "F3": 160}
OTHERS = {
    "F4": 20,
    "F5": 15,
    "F6": 10,
    "F7": 5,
    "F8": 3,
    "F9": 5,
    "F10": 5,
    "F11": 4,
    "F12": 20,
    "F13": 3,
    "F14": 4,
    "F16": 5,
    "F17": 10,
    "F18": 10,
    "F19": 5,
    "F20": 2,
}
IN_ALL = sum(KILLS.values())

POINTS_WHILE_RUNNING = ("progress.before", "insert.before", "progress.after", "progress.committed")


@dataclass(frozen=True)
class Outcome:
    """One line per fault and one for all jobs, the oracle's complaints, and further figures."""

    lines: list[Line]
    complaints: list[Complaint]
    figures: dict[str, str]


@contextmanager
def open_world(kind: str, periods: Mapping[str, float], slots: int) -> Iterator[World]:
    """A service on its own `sqlite` or `postgres`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        cluster = stack.enter_context(Cluster()) if kind == "postgres" else None
        url = make_audited_database(folder, cluster)
        yield stack.enter_context(
            World(folder, url, cluster=cluster, periods=periods, slots=slots, cold=False)
        )


def soak(kind: str, kills: int, seed: int) -> Outcome:
    """Kills that overlap, with every other fault in between."""
    plan = [
        fault
        for fault, times in (KILLS | OTHERS).items()
        for _ in range(max(1, round(times * kills / IN_ALL)))
    ]
    random.Random(seed).shuffle(plan)
    with _under_load(kind, SHORT, JOB_SECONDS) as load:
        running = []
        for fault in plan:
            running.append(len(load.running()))
            BLOWS[fault][1](load)
            _keep_workers(load.world)
            load.run_for(load.random.uniform(0, PAUSE_SECONDS))
        load.settle(60)
        load.stop_feeding()
        load.world.await_end(120)
        figures = {
            "jobs running when a fault was injected": f"{sum(running) / len(running):.0f} on "
            f"average, at least {min(running)}"
        }
        return _judge(load, figures)


def timed(kind: str) -> Outcome:
    """Faults one after the other, with the default periods of the service."""
    # The faults of a group overlap. A job that two different outages struck would be timed twice.
    groups: list[list[Callable[[Soak], None]]] = [
        [
            *[blows.kill_pool_process] * 10,
            *(partial(blows.kill_at, point=point) for point in POINTS_WHILE_RUNNING),
            *[blows.freeze_beyond_lease] * 3,
        ],
        [blows.kill_worker, blows.tell_worker_to_stop],
        [blows.lose_all_messages],
        [blows.freeze_broker],
        [blows.kill_api_before_publish] * 2,
        [blows.move_clock],
        [blows.move_clock],
        [blows.take_database_away],
    ]
    with _under_load(kind, {}, LONG_JOB_SECONDS) as load:
        for group in groups:
            for strike in group:
                strike(load)
                _keep_workers(load.world)
                load.run_for(1)
            load.settle(60)
        load.stop_feeding()
        figures = {"slowest cancel of a running job": f"{_cancel_all(load):.2f} s"}
        load.world.await_end(120)
        return _judge(load, figures)


@contextmanager
def _under_load(kind: str, periods: Mapping[str, float], job_seconds: float) -> Iterator[Soak]:
    with open_world(kind, periods, SLOTS) as world:
        world.start()
        _keep_workers(world)
        with Soak(world, active=ACTIVE, job_seconds=job_seconds) as load:
            until(lambda: len(load.running()) >= ACTIVE - 2, 60, "load")
            yield load


def _keep_workers(world: World) -> None:
    while len(world.running("worker")) < WORKERS:
        world.start_worker()


def _cancel_all(load: Soak) -> float:
    """The longest time from a cancel to the end of its job."""
    slowest = 0.0
    for job in load.running():
        asked = time.monotonic()
        assert load.world.http.post(f"/v1/jobs/{job.id}/cancel").status_code == 200
        load.world.await_state(job.id, "cancelled", "succeeded")
        slowest = max(slowest, time.monotonic() - asked)
    for job in load.unfinished():
        load.world.http.post(f"/v1/jobs/{job.id}/cancel")
    return slowest


def _judge(load: Soak, figures: dict[str, str]) -> Outcome:
    struck: dict[str, list[Blow]] = {}
    for blow in load.blows:
        struck.setdefault(blow.fault, []).append(blow)
    ordinary = [id for id in load.world.accepted if id not in load.expected]
    with load.world.sessions.begin() as session:
        figures["slowest recovery"] = _slowest(session, load.blows)
        complaints = oracle.judge(session, ordinary)
        for id, (fault, code) in load.expected.items():
            complaints += oracle.judge(session, [id], endings=["failed"])
            job = jobs.get(session, id)
            if job.error_code != code:
                complaints.append(Complaint("lost", id, f"{fault}: {job.error_code}, not {code}"))
    lines = []
    for fault, (title, _) in BLOWS.items():
        if fault in struck:
            hit = {id for blow in struck[fault] for id in blow.steps}
            hit |= {id for id, (of, _) in load.expected.items() if of == fault}
            lines.append(line(f"{fault} {title}", struck[fault], hit, complaints))
    lines.append(line("all", load.blows, load.world.accepted, complaints))
    return Outcome(lines, list(dict.fromkeys(complaints)), figures)


def _slowest(session: Session, blows: Sequence[Blow]) -> str:
    """The events of the job that took longest to resume."""
    seconds, fault, id = max(
        (seconds, blow.fault, id) for blow in blows for id, seconds in blow.seconds.items()
    )
    query = select(Event).join(Job, Event.job == Job.pk).where(Job.id == id).order_by(Event.pk)
    found = list(session.scalars(query))
    story = (f"{event.at - found[0].at:+.1f} s {event.kind} by {event.actor}" for event in found)
    return f"{seconds:.1f} s after {fault}; the job's events: {', '.join(story)}"
