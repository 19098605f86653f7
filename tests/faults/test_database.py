"""A database that is locked, restarted or full, or that does not answer to a COMMIT."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from tests import servers
from tests.faults.clusters import Cluster
from tests.faults.specs import make_spec
from tests.faults.world import World
from tests.processes import until

LONGER_THAN_THE_LEASE = 5.0


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Somebody else has the tables to write."""
    with world.sessions.begin() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET idle_in_transaction_session_timeout = 0"))
            session.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        session.connection()
        yield


def assert_refused_for_now(world: World) -> None:
    asked = time.monotonic()
    answer = world.post(make_spec())
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert time.monotonic() - asked < 5


def test_f11_a_locked_database_costs_a_pause(world: World) -> None:
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(3)))
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
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(3)))
    world.await_steps(*ids)

    cluster.stop(end)
    assert_refused_for_now(world)
    assert world.http.get("/v1/jobs").status_code == 503
    cluster.start()

    assert world.post(make_spec(0.5)).status_code == 201
    world.assert_kept()


@pytest.mark.parametrize("shared_world", ["postgres"], indirect=True)
def test_f12_a_wire_that_breaks_between_a_commit_and_its_answer(
    world: World, cluster: Cluster
) -> None:
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(4)))
    world.await_steps(*ids)
    for cut in range(8):
        cluster.wire.cut_at_commit()
        until(lambda cut=cut: cluster.wire.cuts > cut, 20, "a cut")

    world.assert_kept()


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


@pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
def test_f13_a_full_disk_costs_a_pause_on_sqlite(world: World) -> None:
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(3)))
    world.await_steps(*ids)

    world.points.limit_pages(1)
    until(lambda: world.post(make_spec()).status_code == 503, 20, "the database is full")
    assert_refused_for_now(world)
    assert world.http.get(f"/v1/jobs/{ids[0]}").status_code == 200
    world.points.limit_pages(None)

    assert world.post(make_spec(0.5)).status_code == 201
    world.assert_kept()


@pytest.mark.parametrize("shared_world", ["postgres"], indirect=True)
def test_f13_a_full_disk_costs_a_pause_on_postgres(world: World, cluster: Cluster) -> None:
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(3)))
    world.await_steps(*ids)

    with small_disk() as disk, cluster.tables_on(disk, world.settings.database_url):
        fill(disk)
        until(lambda: world.post(make_spec()).status_code == 503, 20, "the disk is full")
        assert_refused_for_now(world)
        assert world.http.get(f"/v1/jobs/{ids[0]}").status_code == 200
        (disk / "filler").unlink()

        assert world.post(make_spec(0.5)).status_code == 201
        world.assert_kept()


@contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of 16 MB, where one can be mounted."""
    with servers.server_folder() as folder:
        disk = folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("a disk that is full: no tmpfs can be mounted here")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass
