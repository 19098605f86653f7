"""Processes that are killed, frozen or told to stop."""

from __future__ import annotations

import signal

import pytest

from tests.faults.meeting import let_two_claims_meet, refused
from tests.faults.specs import make_spec
from tests.faults.world import World
from tests.processes import until

POINTS = (
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

RECOVERY_POINTS = (
    "free.after",
    "free.committed",
    "mark.after",
    "mark.committed",
    "publish.before",
    "publish.after",
)


def test_f1_a_killed_pool_process_loses_nothing(world: World) -> None:
    for executor in ("scalar", "native"):
        [id] = world.put(make_spec(1, executor=executor))
        world.await_steps(id)
        world.strike(id, signal.SIGKILL)

    world.assert_kept()
    assert [world.job(id).attempt for id in world.accepted] == [2, 2]


def test_f2_a_killed_worker_loses_nothing(world: World) -> None:
    ids = world.put(*(make_spec(1, seed=seed) for seed in range(4)))
    world.await_steps(*ids)

    world.worker.kill()
    world.start_worker()

    world.assert_kept()
    assert [world.job(id).attempt for id in ids] == [2] * 4


def test_f3_a_process_may_die_anywhere(world: World) -> None:
    for point in POINTS:
        world.points.arm(point, "kill")
        world.put(make_spec(0.2))
        until(lambda point=point: world.points.taken(point), 20, point)

    world.assert_kept()


def test_f3_recovery_may_die_anywhere(world: World) -> None:
    for point in RECOVERY_POINTS:
        [id] = world.put(make_spec(1))
        world.await_steps(id)
        recovery = world.recovery
        world.points.arm(point, "kill")
        world.strike(id, signal.SIGKILL)
        recovery.process.wait(20)
        world.start()

    world.assert_kept()


def test_f4_a_frozen_process_that_wakes_up_does_no_harm(world: World) -> None:
    id = let_two_claims_meet(world)

    world.assert_kept()
    assert refused(world, id)


def test_f5_a_worker_that_is_told_to_stop_puts_its_jobs_back(world: World) -> None:
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(4)))
    world.await_steps(*ids)

    world.worker.stop(seconds=10)

    left = [world.job(id) for id in ids]
    assert [(job.state, job.attempt) for job in left] == [("queued", 0)] * 4
    world.start_worker()
    world.assert_kept()
    assert [(world.job(id).attempt, world.job(id).fence) for id in ids] == [(1, 2)] * 4


def test_f5_a_process_that_is_stuck_does_not_hold_up_the_stop(world: World) -> None:
    world.points.arm("progress.before", "freeze")
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(3)))
    until(lambda: world.points.taken("progress.before"), 20, "one is frozen")

    world.worker.stop(seconds=10)

    world.start_worker()
    world.assert_kept()
    assert sorted(world.job(id).attempt for id in ids) == [1, 1, 2]


@pytest.mark.long
def test_f20_rolling_restarts_are_not_noticed(world: World) -> None:
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(4)))
    for round in range(2):
        old = world.worker
        new = world.start_worker()
        until(lambda new=new: "ready" in new.log.read_text(), 30, "the new worker")
        old.stop(seconds=10)
        ids += world.put(make_spec(1, seed=10 + round))

    world.assert_kept()
    assert {world.job(id).attempt for id in ids} == {1}
