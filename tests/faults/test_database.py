"""A database that is locked, restarted or full, or that does not confirm a COMMIT."""

from __future__ import annotations

import signal
import time

import httpx
import pytest
from sqlalchemy import text

from tests.faults.clusters import Cluster
from tests.faults.outages import NoDisk, disk_full, down, locked
from tests.faults.specs import make_spec
from tests.faults.world import World
from tests.processes import until

LONGER_THAN_THE_LEASE = 5.0


def assert_refused_for_now(world: World) -> None:
    asked = time.monotonic()
    answer = world.post(make_spec())
    assert time.monotonic() - asked < 5
    assert_asks_for_patience(answer)


def assert_asks_for_patience(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1


def refused(world: World, answers: list[httpx.Response]) -> bool:
    answers.append(world.post(make_spec()))
    return answers[-1].status_code != 201


def test_f11_a_locked_database_costs_a_pause(world: World) -> None:
    ids = world.put(*(make_spec(1, seed=seed) for seed in range(3)))
    world.await_steps(*ids)

    with locked(world):
        locked_until = time.monotonic() + LONGER_THAN_THE_LEASE
        assert_refused_for_now(world)
        assert world.http.get(f"/v1/jobs/{ids[0]}").status_code == 200
        until(lambda: time.monotonic() > locked_until, 20, "longer than the lease")

    assert world.post(make_spec(0.5)).status_code == 201
    world.assert_kept()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("shared_world", ["postgres"], indirect=True)
def test_f11_a_restarted_postgres_costs_a_pause(
    world: World, cluster: Cluster, end: signal.Signals
) -> None:
    ids = world.put(*(make_spec(1, seed=seed) for seed in range(3)))
    world.await_steps(*ids)

    with down(cluster, end):
        assert_refused_for_now(world)
        assert world.http.get("/v1/jobs").status_code == 503

    assert world.post(make_spec(0.5)).status_code == 201
    world.assert_kept()


@pytest.mark.parametrize("shared_world", ["postgres"], indirect=True)
def test_f12_a_wire_that_breaks_between_a_commit_and_its_answer(
    world: World, cluster: Cluster
) -> None:
    ids = world.put(*(make_spec(1, seed=seed) for seed in range(4)))
    world.await_steps(*ids)
    for cut in range(8):
        cluster.wire.cut_at_commit()
        until(lambda cut=cut: cluster.wire.cuts > cut, 20, "a cut")

    world.assert_kept()


@pytest.mark.parametrize(
    "point", ["claim.after", "insert.before", "progress.after", "succeed.after"]
)
@pytest.mark.parametrize("shared_world", ["postgres"], indirect=True)
def test_f12_a_transaction_that_postgres_ends_is_tried_again(world: World, point: str) -> None:
    # This happens to a process that is frozen in a transaction for longer than ten seconds.
    world.points.arm(point, "outstay")

    [id] = world.put(make_spec(0.5))

    until(lambda: world.points.taken(point), 20, "a transaction is idle")
    world.assert_kept()
    assert world.job(id).attempt == 1


@pytest.mark.parametrize("point", ["claim", "progress", "succeed", "free", "mark"])
def test_f12_a_commit_whose_answer_is_lost_is_not_repeated(world: World, point: str) -> None:
    world.points.arm(f"{point}.committed", "lose answer")

    [id] = world.put(make_spec(1))
    if point in ("free", "mark"):
        world.strike(id, signal.SIGKILL)

    until(lambda: world.points.taken(f"{point}.committed"), 20, point)
    world.assert_kept()


def test_f12_a_release_whose_answer_is_lost_is_not_repeated(world: World) -> None:
    [id] = world.put(make_spec(2))
    world.await_steps(id)
    world.points.arm("release.committed", "lose answer")

    world.worker.stop(seconds=10)

    assert world.points.taken("release.committed")
    assert (world.job(id).state, world.job(id).fence) == ("queued", 1)
    world.start_worker()
    world.assert_kept()


def test_f12_a_post_whose_commit_is_not_answered_can_be_sent_again(world: World) -> None:
    world.points.arm("create.committed", "lose answer")
    spec = make_spec(0.2)

    first = world.post(spec, **{"Idempotency-Key": f"lost {world.folder}"})
    again = world.post(spec, **{"Idempotency-Key": f"lost {world.folder}"})

    assert first.status_code == 503
    assert again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    with world.sessions.begin() as session:
        found = session.scalar(text("SELECT count(*) FROM idempotency_keys WHERE key LIKE 'lost%'"))
    assert found == 1
    world.assert_kept()


def test_f13_a_full_disk_costs_a_pause(world: World) -> None:
    ids = world.put(*(make_spec(1, seed=seed) for seed in range(3)))
    world.await_steps(*ids)

    try:
        with disk_full(world):
            # Space that was freed a moment ago may still hold one or two jobs.
            answers: list[httpx.Response] = []
            until(lambda: refused(world, answers), 20, "the disk is full")
            assert_asks_for_patience(answers[-1])
            assert world.http.get(f"/v1/jobs/{ids[0]}").status_code == 200
    except NoDisk:
        pytest.skip("no small disk for Postgres can be mounted here")

    assert world.post(make_spec(0.5)).status_code == 201
    world.assert_kept()
