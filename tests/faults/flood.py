"""Ten thousand tiny jobs, while one pool process is killed per second."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from contextlib import suppress
from os import kill

from sqlalchemy import func, select

from service.common.messages import waiting
from service.store.states import TERMINAL
from service.store.tables import Event, Job
from tests.faults import oracle
from tests.faults.campaign import Outcome, open_world
from tests.faults.report import line
from tests.faults.soak import Blow
from tests.faults.specs import make_tiny_spec
from tests.faults.world import World
from tests.processes import children

POOL = 4
KILL_SECONDS = 1.0
END_SECONDS = 900.0
BATCH = 500


def flood(kind: str, jobs: int) -> Outcome:
    """Queues the jobs, then kills a pool process per second while they train.

    The periods are the default ones.
    """
    chance = random.Random(0)
    with open_world(kind, {}, POOL) as world:
        for start in range(0, jobs, BATCH):
            world.put(*(make_tiny_spec(seed % 12) for seed in range(start, start + BATCH)))
        queued = waiting(world.publisher) or 0
        world.start_recovery()
        worker = world.start_worker()
        blows: list[Blow] = []
        longest_queue = 0
        start_time = time.monotonic()
        while (left := unfinished(world)) > 0:
            assert time.monotonic() - start_time < END_SECONDS, f"{left} jobs are left"
            longest_queue = max(longest_queue, waiting(world.publisher) or 0)
            pool = children(worker.pid)
            if left < jobs and pool:
                with suppress(ProcessLookupError):
                    kill(chance.choice(pool), signal.SIGKILL)
                blows.append(Blow("F1", time.monotonic(), {}))
            threading.Event().wait(KILL_SECONDS)
        took = time.monotonic() - start_time
        with world.sessions.begin() as session:
            complaints = oracle.judge(session, world.accepted)
            twice = session.scalar(
                select(func.count()).select_from(Event).where(Event.kind == "succeeded")
            )
            claims = session.scalar(select(func.sum(Job.fence)))
        assert twice == jobs, f"{twice} successes of {jobs} jobs"
        figures = {
            "queued before the start": f"{queued:,} messages",
            "longest queue after": f"{longest_queue:,} messages",
            "published again by recovery": f"{published_again(world):,}",
            "claims": f"{claims:,}",
            "time": f"{took:.0f} s, {jobs / took:.0f} jobs/s",
        }
        return Outcome(
            [line("F1 kill −9 a pool process per second", blows, world.accepted, complaints)],
            complaints,
            figures,
        )


def unfinished(world: World) -> int:
    with world.sessions.begin() as session:
        query = select(func.count()).select_from(Job).where(Job.state.not_in(TERMINAL))
        return session.scalar(query) or 0


def published_again(world: World) -> int:
    """How many messages recovery has sent, by its log."""
    log = world.recovery.log.read_text().splitlines()
    events = [json.loads(text) for text in log if text.startswith("{")]
    return sum(event["jobs"] for event in events if event["message"] == "published again")
