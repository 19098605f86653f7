"""Recovery: lost jobs come free, quiet ones are published again, and nothing is flooded."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery

from engine.spec import JobSpec
from service.common.messages import INTERACTIVE_QUEUE, make_publisher, waiting
from service.common.settings import Settings
from service.run import programs
from service.store import artifact_claims, artifacts, claims
from tests import servers
from tests.processes import until
from tests.worker.conftest import Bench
from worker import recovery
from worker.recovery import RecoveryLoop


@pytest.fixture
def publisher(settings: Settings) -> Iterator[Celery]:
    publisher = make_publisher(settings)
    yield publisher
    publisher.close()


@pytest.fixture
def loop(settings: Settings, publisher: Celery) -> Iterator[RecoveryLoop]:
    loop = RecoveryLoop(settings, publisher)
    yield loop
    loop.database.engine.dispose()


def make_quiet(bench: Bench) -> None:
    """Changes the rows as if every message had been published long ago."""
    bench.change("UPDATE jobs SET rung_at = rung_at - 3600")


def claim_and_die(bench: Bench, id: str) -> None:
    with bench.sessions.begin() as session:
        assert claims.claim(session, id, worker="lost:1", lease_seconds=5)
    bench.change("UPDATE jobs SET lease_until = lease_until - 3600 WHERE id = :id", id=id)


def test_a_lost_job_is_freed_and_published_in_one_pass(
    bench: Bench, spec: JobSpec, loop: RecoveryLoop, publisher: Celery
) -> None:
    id = bench.submit(spec)
    claim_and_die(bench, id)

    loop.recover()

    assert bench.job(id).state == "queued"
    assert waiting(publisher) == 1


def test_a_job_that_is_worked_on_is_left_alone(
    bench: Bench, spec: JobSpec, loop: RecoveryLoop
) -> None:
    id = bench.submit(spec)
    with bench.sessions.begin() as session:
        claims.claim(session, id, worker="alive:1", lease_seconds=5)

    assert loop.free() == []
    assert bench.job(id).state == "running"


def test_a_job_that_kills_its_workers_fails_and_its_neighbour_does_not(
    bench: Bench, spec: JobSpec, loop: RecoveryLoop
) -> None:
    killer, neighbour = bench.submit(spec), bench.submit(spec)

    for _ in range(3):
        claim_and_die(bench, killer)
        loop.recover()

    job = bench.job(killer)
    assert (job.state, job.error_code, job.attempt) == ("failed", "worker_lost", 3)
    assert bench.job(neighbour).state == "queued"


def test_a_job_published_a_moment_ago_is_not_published_again(
    bench: Bench, spec: JobSpec, loop: RecoveryLoop
) -> None:
    id = bench.submit(spec)
    assert loop.publish_again() == []

    make_quiet(bench)

    assert loop.publish_again() == [id]
    assert loop.publish_again() == []


def test_the_queue_is_not_flooded(
    bench: Bench,
    spec: JobSpec,
    loop: RecoveryLoop,
    publisher: Celery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "BATCH", 5)
    ids = [bench.submit(spec) for _ in range(12)]
    make_quiet(bench)

    assert loop.publish_again() == ids[:5]
    assert loop.publish_again() == []
    assert waiting(publisher) == 5


def test_a_broker_that_is_away_costs_no_job_its_turn(bench: Bench, spec: JobSpec) -> None:
    with servers.server_folder() as folder:
        server = servers.start_valkey(folder)
        publisher = make_publisher(replace(bench.settings, broker_url=server.url))
        loop = RecoveryLoop(bench.settings, publisher)
        id = bench.submit(spec)
        make_quiet(bench)
        server.stop(signal.SIGKILL)

        assert loop.publish_again() == []

        server = servers.start_valkey(folder)
        assert loop.publish_again() == [id]
        publisher.close()
        server.stop()


def test_a_broker_that_takes_no_messages_is_in_the_log_once_per_outage(
    bench: Bench,
    spec: JobSpec,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with servers.valkey() as server:
        publisher = make_publisher(replace(bench.settings, broker_url=server.url))
        loop = RecoveryLoop(bench.settings, publisher)
        ids = [bench.submit(spec) for _ in range(3)]

        def look() -> list[str]:
            make_quiet(bench)
            return loop.publish_again()

        for _ in range(2):
            with servers.full(server):
                assert [look(), look(), loop.publish_again()] == [[], [], []]
            assert look() == ids
        publisher.close()

    told = [record for record in caplog.records if "messages" in record.message]
    assert [(record.levelname, record.message) for record in told] == 2 * [
        ("WARNING", "broker takes no messages"),
        ("INFO", "broker takes messages again"),
    ]
    assert "maxmemory" in told[0].reason  # type: ignore[attr-defined]


def test_two_at_once_publish_each_job_once(
    bench: Bench, spec: JobSpec, loop: RecoveryLoop, publisher: Celery
) -> None:
    ids = [bench.submit(spec) for _ in range(20)]
    make_quiet(bench)
    other = RecoveryLoop(bench.settings, publisher)
    published: list[str] = []
    threads = [
        threading.Thread(target=lambda s=s: published.extend(s.publish_again()))
        for s in (loop, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(published) == sorted(ids)
    assert waiting(publisher) == 20


def test_the_loop_outlives_an_outage_of_the_database(
    settings: Settings, publisher: Celery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "missing" / "gradserve.db"
    loop = RecoveryLoop(replace(settings, database_url=f"sqlite:///{gone}"), publisher)
    stop = threading.Event()
    thread = threading.Thread(target=recovery.run, args=(loop, 0.01, stop))

    thread.start()
    until(lambda: caplog.text.count("database does not answer") > 2, 10)
    stop.set()
    thread.join(10)

    assert not thread.is_alive()


def test_the_process_recovers_and_ends_at_once_when_told(
    bench: Bench, spec: JobSpec, publisher: Celery, tmp_path: Path
) -> None:
    log = tmp_path / "recovery.log"
    environ = {
        "GRADSERVE_DATABASE_URL": bench.settings.database_url,
        "GRADSERVE_BROKER_URL": bench.settings.broker_url,
        "GRADSERVE_RECOVERY_SECONDS": "60",
    }
    id = bench.submit(spec)
    claim_and_die(bench, id)
    with log.open("wb") as output:
        process = subprocess.Popen(
            programs.recovery().argv,
            env=os.environ | environ,
            stderr=output,
            preexec_fn=servers.die_with_parent(signal.SIGKILL),
        )
    try:
        until(lambda: waiting(publisher) == 1, 20, "the first pass")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()

    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(event.pop("time") for event in events)
    assert events == [
        {"level": "INFO", "message": "recovery started", "every": 60.0},
        {"level": "WARNING", "message": "lease lost", "job_id": id},
        {"level": "INFO", "message": "published again", "jobs": 1, "first": id},
        {"level": "INFO", "message": "recovery stopped"},
    ]


def test_a_wrong_setting_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker.recovery"],
        env=os.environ | {"GRADSERVE_RECOVERY_SECONDS": "often"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "GRADSERVE_RECOVERY_SECONDS" in done.stderr


def test_artifacts_are_freed_published_again_and_dropped_in_one_pass(
    bench: Bench, spec: JobSpec, settings: Settings, publisher: Celery
) -> None:
    id = bench.submit(spec)
    with bench.sessions.begin() as session:
        for step in range(3):
            artifacts.ask(session, id, "parameters", {"step": step})
        lost = artifact_claims.claim_next(session, lease_seconds=5)
        done = artifact_claims.claim_next(session, lease_seconds=5)
        assert lost is not None
        assert done is not None
        artifact_claims.succeed(session, done, data=b"x", media_type="text/plain")
    bench.change(
        "UPDATE artifacts SET published_at = 1, finished_at = finished_at - 3600, "
        "lease_until = lease_until - 3600"
    )
    loop = RecoveryLoop(replace(settings, max_artifact_bytes=1), publisher)

    loop.recover()

    found = bench.rows("SELECT state, attempt FROM artifacts ORDER BY pk")
    assert found == [("queued", 1), ("queued", 0)]
    assert waiting(publisher, INTERACTIVE_QUEUE) == 2
    assert waiting(publisher) == 0
    loop.database.engine.dispose()
