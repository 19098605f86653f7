"""The worker as a process with a real broker: its messages, its signals and its jobs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.spec import JobSpec
from service.common.heartbeat import beats
from service.common.settings import Settings
from service.run import programs
from tests import servers
from tests.processes import alive, children, until
from tests.worker.conftest import (
    Bench,
    Start,
    Undisturbed,
    make_spec,
    publish,
    wait_for_state,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def wait_for_steps(bench: Bench, *ids: str) -> None:
    until(lambda: all(bench.job(id).step > 0 for id in ids), 120, "steps")


@pytest.fixture
def long_spec() -> JobSpec:
    """A job that runs for minutes unless it is stopped."""
    return make_spec(steps=1_000_000, log_every=100, checkpoint_every=100_000)


def test_a_message_gets_its_job_trained(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed, start_worker: Start
) -> None:
    start_worker(bench.settings)
    id = bench.submit(spec)

    publish(bench.settings, id)
    publish(bench.settings, id)

    wait_for_state(bench, id, "succeeded")
    assert bench.history(id) == undisturbed.history
    assert bench.sha256(id) == undisturbed.sha256


def test_every_line_about_a_job_names_the_request_and_the_worker(
    sqlite_bench: Bench, spec: JobSpec, start_worker: Start, log: Callable[[], str]
) -> None:
    worker = start_worker(sqlite_bench.settings)
    id = sqlite_bench.submit(spec)
    sqlite_bench.change("UPDATE jobs SET request_id = 'req-1'")
    publish(sqlite_bench.settings, id)

    wait_for_state(sqlite_bench, id, "succeeded")
    until(lambda: "job succeeded" in log(), 5, "the last line")
    # Celery warns against root in plain text before logging can be set up.
    events = [json.loads(line) for line in log().splitlines() if line.startswith("{")]
    of_job = [event for event in events if event.get("job_id") == id]
    assert [event["message"] for event in of_job] == ["job claimed", "job succeeded"]
    assert {event["request_id"] for event in of_job} == {"req-1"}
    pool = {f"{socket.gethostname()}:{pid}" for pid in children(worker.pid)}
    assert {event["worker"] for event in of_job} <= pool


def test_the_heart_of_a_worker_beats_once_it_takes_messages(
    sqlite_bench: Bench, start_worker: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alive"
    monkeypatch.setenv("GRADSERVE_HEARTBEAT_FILE", str(file))

    start_worker(sqlite_bench.settings)

    until(lambda: beats(str(file)), 30, "the first beat")
    first = file.stat().st_mtime
    until(lambda: file.stat().st_mtime > first, 15, "the next beat")


@pytest.mark.long
def test_a_stopped_worker_gives_its_jobs_back_and_the_next_resumes_them(
    bench: Bench, start_worker: Start
) -> None:
    spec = make_spec(steps=4000)
    worker = start_worker(bench.settings)
    ids = [bench.submit(spec) for _ in range(2)]
    for id in ids:
        publish(bench.settings, id)
    wait_for_steps(bench, *ids)

    asked = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    worker.wait(15)

    assert time.monotonic() - asked < 10
    assert worker.returncode == 0
    for id in ids:
        job = bench.job(id)
        assert (job.state, job.attempt) == ("queued", 0)
        assert bench.checkpoints(id)[-1] == job.step
        assert 0 < job.step < 4000
    start_worker(bench.settings)
    for id in ids:
        publish(bench.settings, id)
    undisturbed = Undisturbed(spec)
    for id in ids:
        wait_for_state(bench, id, "succeeded")
        assert bench.history(id) == undisturbed.history
        assert bench.sha256(id) == undisturbed.sha256


def test_a_killed_worker_takes_its_pool_with_it(
    sqlite_bench: Bench, long_spec: JobSpec, start_worker: Start
) -> None:
    worker = start_worker(sqlite_bench.settings)
    id = sqlite_bench.submit(long_spec)
    publish(sqlite_bench.settings, id)
    wait_for_steps(sqlite_bench, id)
    pool = children(worker.pid)
    assert len(pool) == 2

    worker.kill()
    worker.wait()

    until(lambda: not any(map(alive, pool)), 5, "the pool is gone")


def test_a_killed_pool_process_is_replaced(
    sqlite_bench: Bench, spec: JobSpec, long_spec: JobSpec, start_worker: Start
) -> None:
    bench = sqlite_bench
    worker = start_worker(bench.settings)
    lost = bench.submit(long_spec)
    publish(bench.settings, lost)
    wait_for_steps(bench, lost)

    pool_process = int(str(bench.job(lost).worker).rpartition(":")[2])
    os.kill(pool_process, signal.SIGKILL)

    until(lambda: len(set(children(worker.pid)) - {pool_process}) == 2, 10, "a new process")
    ids = [bench.submit(spec) for _ in range(3)]
    for id in ids:
        publish(bench.settings, id)
    for id in ids:
        wait_for_state(bench, id, "succeeded")
    assert bench.job(lost).state == "running"  # until recovery frees it


def test_a_broker_that_is_available_again_is_used_again(
    sqlite_bench: Bench, spec: JobSpec, start_worker: Start, log: Callable[[], str]
) -> None:
    bench = sqlite_bench
    with servers.server_folder() as folder:
        server = servers.start_valkey(folder)
        settings = replace(bench.settings, broker_url=server.url)
        worker = start_worker(settings)
        first = bench.submit(spec)
        publish(settings, first)
        wait_for_state(bench, first, "succeeded")

        server.stop(signal.SIGKILL)
        until(lambda: "Connection to broker lost" in log(), 10, "the loss is noticed")
        server = servers.start_valkey(folder)
        try:
            second = bench.submit(spec)
            publish(settings, second)
            wait_for_state(bench, second, "succeeded")
            assert worker.poll() is None
        finally:
            server.stop()


@pytest.mark.parametrize("busy", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_frozen_broker_does_not_hold_up_the_stop(
    sqlite_bench: Bench, long_spec: JobSpec, start_worker: Start, log: Callable[[], str], busy: bool
) -> None:
    bench = sqlite_bench
    with servers.valkey() as server:
        settings = replace(bench.settings, broker_url=server.url)
        worker = start_worker(settings)
        until(lambda: "ready" in log(), 20, "the worker is ready")
        id = bench.submit(long_spec)
        if busy:
            publish(settings, id)
            wait_for_steps(bench, id)
        server.process.send_signal(signal.SIGSTOP)
        try:
            asked = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            worker.wait(20)
            assert time.monotonic() - asked < 10
        finally:
            server.process.send_signal(signal.SIGCONT)
    assert bench.job(id).state == "queued"


def test_a_wrong_setting_is_one_sentence(settings: Settings) -> None:
    done = subprocess.run(
        programs.worker(2).argv,
        env=os.environ | {"GRADSERVE_LEASE_SECONDS": "soon"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode != 0
    assert "GRADSERVE_LEASE_SECONDS" in done.stderr
    assert "Traceback" not in done.stderr
