"""Jobs that are the fault themselves, and damaged checkpoints."""

from __future__ import annotations

import os
import signal

import pytest
from sqlalchemy import text

from tests.faults import audit, oracle
from tests.faults.specs import make_diverging_spec, make_poison, make_slow, make_spec
from tests.faults.world import World
from tests.processes import until


def test_f10_a_job_that_kills_its_worker_fails_and_its_neighbours_finish(world: World) -> None:
    neighbours = world.put(*(make_spec(2, seed=seed) for seed in range(3)))
    [poison] = world.put(make_poison())

    failed = world.await_state(poison, "failed")

    assert (failed.error_code, failed.fence) == ("worker_lost", 3)
    assert "3 times" in str(failed.error_detail)
    world.accepted = neighbours
    world.assert_kept()
    assert {world.job(id).attempt for id in neighbours} == {1}


def test_a_slice_that_takes_longer_than_the_lease_keeps_its_job(world: World) -> None:
    [id] = world.put(make_slow(3 * world.settings.lease_seconds))

    world.assert_kept()
    assert (world.job(id).attempt, world.job(id).fence) == (1, 1)


@pytest.mark.parametrize("damaged", ["newest", "all"])
def test_f18_a_damaged_checkpoint_costs_time_and_no_number(world: World, damaged: str) -> None:
    [id] = world.put(make_spec(2))
    world.await_steps(id)
    world.points.arm("progress.before", "freeze")  # so that nothing else is written
    [frozen] = until(lambda: world.points.taken("progress.before"), 20, "frozen")
    pk = world.job(id).pk
    with world.sessions.begin() as session:
        steps = session.scalars(
            text("SELECT step FROM checkpoints WHERE job = :pk ORDER BY step DESC"), {"pk": pk}
        ).all()
        for step in steps[:1] if damaged == "newest" else steps:
            session.execute(
                text("UPDATE checkpoints SET data = :data WHERE job = :pk AND step = :step"),
                {"data": b"rot" * 100, "pk": pk, "step": step},
            )
        audit.forgive(session, "checkpoint written again", pk)
    os.kill(frozen, signal.SIGKILL)

    world.assert_kept()
    assert world.job(id).attempt == 2


def test_f19_a_loss_that_is_not_a_number_ends_the_job_as_diverged(world: World) -> None:
    spec = make_diverging_spec()
    expected = oracle.undisturbed(spec).diverges_at
    assert expected is not None

    [id] = world.put(spec)

    failed = world.await_state(id, "failed")
    assert (failed.error_code, failed.error_step) == ("diverged", expected)
    assert str(expected) in str(failed.error_detail)
    world.assert_kept(endings=["failed"])
