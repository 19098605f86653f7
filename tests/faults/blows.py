"""The faults, each as a function that strikes a service under load.

A blow returns when the fault is over, and notes the jobs that it struck. These are the jobs whose
process died or was cut off, or all unfinished jobs if the fault struck every process.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from sqlalchemy import text

from service.common.messages import try_publish
from service.store import jobs
from tests.faults import audit
from tests.faults.outages import disk_full, down, locked
from tests.faults.soak import Soak
from tests.faults.specs import make_diverging_spec, make_poison, make_spec
from tests.faults.world import Program
from tests.processes import alive, children, until

POOL_POINTS = (
    "claim.before",
    "claim.after",
    "claim.committed",
    "progress.before",
    "insert.before",
    "checkpoint.before",
    "progress.after",
    "progress.committed",
    "succeed.before",
    "result.before",
    "succeed.after",
    "succeed.committed",
)
RECOVERY_POINTS = ("free.before", "free.after", "free.committed", "mark.after", "mark.committed")
ANSWERS = ("claim.committed", "progress.committed", "succeed.committed", "create.committed")

HOUR = 3600.0
STOP_SECONDS = 10.0
POST_SECONDS = 5.0
POINT_SECONDS = 30.0

Blows = dict[str, tuple[str, Callable[[Soak], None]]]

_points = itertools.cycle(POOL_POINTS + RECOVERY_POINTS)
_answers = itertools.cycle(ANSWERS)
_odd = itertools.cycle((True, False))
_ends = itertools.cycle((signal.SIGINT, signal.SIGQUIT))


def kill_pool_process(soak: Soak) -> None:
    pid = soak.process_of(soak.victim())
    _kill(pid)
    soak.struck("F1", soak.owned_by([pid]))


def kill_worker(soak: Soak) -> None:
    worker = _busiest(soak)
    pool = children(worker.pid)
    worker.kill()
    _await_death(pool)
    soak.struck("F2", soak.owned_by(pool))
    soak.world.start_worker()


def kill_at_point(soak: Soak) -> None:
    kill_at(soak, next(_points))


def kill_at(soak: Soak, point: str) -> None:
    # Recovery reaches its points only when there is a job to recover.
    before = partial(_kill_someone, soak) if point in RECOVERY_POINTS else None
    pid = _at(soak, point, "kill", before)
    _await_death([pid])
    soak.struck("F3", soak.owned_by([pid]))
    soak.world.start()  # starts recovery again, if that was killed


def freeze_beyond_lease(soak: Soak) -> None:
    """Freezes before a transaction, since a process in one would hold SQLite's only write lock."""
    pid = _at(soak, "progress.before", "freeze")
    soak.struck("F4", soak.owned_by([pid]))
    soak.later(1.5 * soak.world.settings.lease_seconds, lambda: _wake(pid))


def tell_worker_to_stop(soak: Soak) -> None:
    worker = _busiest(soak)
    ids = soak.owned_by(children(worker.pid))
    _stop(worker)
    soak.struck("F5", ids)
    soak.world.start_worker()


def lose_all_messages(soak: Soak) -> None:
    if next(_odd):
        with soak.outage():
            soak.world.broker.kill()
            for _ in range(3):
                assert soak.world.post(make_spec(1)).status_code == 201
            soak.world.broker.start()
    else:
        soak.world.broker.flush()
    _everybody(soak, "F6")


def freeze_broker(soak: Soak) -> None:
    with soak.outage(), soak.world.broker.frozen():
        asked = time.monotonic()
        assert soak.world.post(make_spec(1)).status_code == 201
        assert time.monotonic() - asked < POST_SECONDS
        soak.run_for(2)
    _everybody(soak, "F7")


def start_without_broker(soak: Soak) -> None:
    worker = _busiest(soak)
    with soak.outage():
        soak.world.broker.kill()
        _stop(worker)
        started = soak.world.start_worker()
        until(lambda: "Cannot connect" in started.log.read_text(), 30, "it misses the broker")
        soak.world.broker.start()
    _everybody(soak, "F8")


def publish_a_hundred_times(soak: Soak) -> None:
    id = soak.post(make_spec(1))
    for _ in range(99):
        try_publish(soak.world.publisher, id)
    soak.struck("F9", [id])


def submit_poison(soak: Soak) -> None:
    soak.expect_failure("F10", soak.post(make_poison()), "worker_lost")


def take_database_away(soak: Soak) -> None:
    cluster = soak.world.cluster
    if cluster is not None and next(_odd):
        with soak.outage(), down(cluster, next(_ends)):
            soak.run_for(1)
    else:
        with soak.outage(), locked(soak.world):
            soak.run_for(1.2 * soak.world.settings.lease_seconds)
    _everybody(soak, "F11")


def lose_answer_to_commit(soak: Soak) -> None:
    cluster = soak.world.cluster
    if cluster is not None and next(_odd):
        cuts = cluster.wire.cuts
        cluster.wire.cut_at_commit()
        until(lambda: cluster.wire.cuts > cuts, POINT_SECONDS, "the wire is cut")
        _everybody(soak, "F12")
    else:
        soak.struck("F12", soak.owned_by([_at(soak, next(_answers), "lose answer")]))


def fill_disk(soak: Soak) -> None:
    with soak.outage(), disk_full(soak.world):
        until(lambda: soak.world.post(make_spec(1)).status_code == 503, 30, "the disk is full")
    assert soak.world.post(make_spec(1)).status_code == 201
    _everybody(soak, "F13")


def move_clock(soak: Soak) -> None:
    """Sets the clock an hour forward and an hour back, in turn."""
    with soak.world.sessions.begin() as session:
        audit.set_clock(session, HOUR if next(_odd) else -HOUR)
    _everybody(soak, "F14")


def post_fifty_times(soak: Soak) -> None:
    spec = make_spec(1)
    key = {"Idempotency-Key": f"fifty {time.monotonic()}"}
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: soak.world.post(spec, **key), range(50)))
    assert {answer.status_code for answer in answers} == {201}
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 1, ids
    soak.struck("F16", ids)


def kill_api_before_publish(soak: Soak) -> None:
    with ThreadPoolExecutor(1) as client:
        posted = client.submit(soak.post, make_spec(1))
        _await_death([_at(soak, "create.committed", "kill")])
        soak.struck("F17", [posted.result()])


def damage_checkpoint(soak: Soak) -> None:
    pid = _at(soak, "progress.before", "freeze")
    ids = soak.owned_by([pid])
    with soak.world.sessions.begin() as session:
        for id in ids:
            job = jobs.get(session, id)
            session.execute(
                text(
                    "UPDATE checkpoints SET data = :data WHERE job = :pk AND step = "
                    "(SELECT max(step) FROM checkpoints WHERE job = :pk)"
                ),
                {"data": b"rot", "pk": job.pk},
            )
            audit.forgive(session, "checkpoint written again", job.pk)
    os.kill(pid, signal.SIGKILL)
    soak.struck("F18", ids)


def diverge(soak: Soak) -> None:
    soak.expect_failure("F19", soak.post(make_diverging_spec()), "diverged")


def roll_restart(soak: Soak) -> None:
    for old in soak.world.running("worker"):
        new = soak.world.start_worker()
        until(lambda new=new: "ready" in new.log.read_text(), 60, "the new worker")
        _stop(old)
    _everybody(soak, "F20")


BLOWS: Blows = {
    "F1": ("kill −9 a pool process", kill_pool_process),
    "F2": ("kill −9 a worker", kill_worker),
    "F3": ("kill −9 at a code point", kill_at_point),
    "F4": ("SIGSTOP beyond the lease, then CONT", freeze_beyond_lease),
    "F5": ("SIGTERM, gone within 10 s", tell_worker_to_stop),
    "F6": ("broker killed or flushed", lose_all_messages),
    "F7": ("broker frozen", freeze_broker),
    "F8": ("broker down at start", start_without_broker),
    "F9": ("message delivered 100 times", publish_a_hundred_times),
    "F10": ("job that kills its worker", submit_poison),
    "F11": ("database locked or restarted", take_database_away),
    "F12": ("COMMIT's answer lost", lose_answer_to_commit),
    "F13": ("disk full", fill_disk),
    "F14": ("clock ±1 h", move_clock),
    "F16": ("50 parallel posts, one key", post_fifty_times),
    "F17": ("API killed before it publishes", kill_api_before_publish),
    "F18": ("checkpoint damaged", damage_checkpoint),
    "F19": ("loss is NaN", diverge),
    "F20": ("rolling restart", roll_restart),
}


def _everybody(soak: Soak, fault: str) -> None:
    ids = (job.id for job in soak.unfinished())
    soak.struck(fault, [id for id in ids if id not in soak.expected])


def _busiest(soak: Soak) -> Program:
    """The worker that trains the most jobs."""
    workers = soak.world.running("worker")
    return max(workers, key=lambda worker: len(soak.owned_by(children(worker.pid))))


def _at(soak: Soak, point: str, action: str, provoke: Callable[[], object] | None = None) -> int:
    """Arms the point and returns the process that reached it.

    `provoke`, which leads a process there, is repeated after a while, because the job that it
    chose may have ended a moment before.
    """
    points = soak.world.points
    points.arm(point, action)
    for last in (False, False, True):
        if provoke is not None and not points.taken(point):
            provoke()
        try:
            until(lambda: points.taken(point), POINT_SECONDS / 3, f"{action} at {point}")
            break
        except AssertionError:
            if last:
                raise
    [pid] = points.taken(point)
    points.clear()
    return pid


def _kill_someone(soak: Soak) -> None:
    """Kills a process that trains a job. Without recovery there may be none for a long time."""
    for job in soak.victims()[:1]:
        _kill(soak.process_of(job))


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # its worker was told to stop a moment ago
        os.kill(pid, signal.SIGKILL)
    _await_death([pid])


def _wake(pid: int) -> None:
    with suppress(ProcessLookupError):  # killed while it was frozen
        os.kill(pid, signal.SIGCONT)


def _await_death(pids: Iterable[int]) -> None:
    until(lambda: not any(map(alive, pids)), 10, "death")


def _stop(worker: Program) -> None:
    worker.stop(STOP_SECONDS)
