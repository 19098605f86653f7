"""`gradserve up`: a job from the POST to the result, and a stop that leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import time
from functools import cache
from pathlib import Path

import pytest

from engine.spec import JobSpec
from engine.train import train
from service.store.parameters import pack
from tests.functional.conftest import GONE_SECONDS, LONG, SHORT, Start, Up
from tests.processes import running_in, until


@cache
def undisturbed(name: str) -> tuple[list[tuple[int, float]], str]:
    """The steps and losses of a run without a service, and the SHA-256 of its parameters."""
    job = JobSpec.model_validate({"long": LONG, "short": SHORT}[name])
    losses: list[tuple[int, float]] = []
    for progress in train(job):
        losses += [(row.step, row.loss) for row in progress.rows]
        if progress.finished:
            parameters = progress.snapshot().parameters
    return losses, pack(job.sizes(), parameters).sha256


def assert_as_undisturbed(up: Up, id: str) -> None:
    losses, sha256 = undisturbed(up.job(id)["name"])
    assert [(row["step"], row["loss"]) for row in up.history(id)] == losses
    assert up.http.get(f"/v1/jobs/{id}/parameters").json()["sha256"] == sha256


def test_a_job_trains_and_can_be_watched(start: Start, tmp_path: Path) -> None:
    # A folder that has the name of one of our packages must not matter.
    for name in ("worker", "service"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    up = start(GRADSERVE_PROGRESS_SECONDS="0.1").wait_until_up()

    id = up.submit(LONG)
    seen = []
    while not (job := up.job(id))["terminal"]:
        seen.append((job["step"], job["loss"]))
        time.sleep(0.05)

    assert job["state"] == "succeeded"
    assert len({step for step, _ in seen}) > 3
    assert len({loss for _, loss in seen}) > 3
    assert_as_undisturbed(up, id)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_ends_without_leftovers_and_resumes_where_it_was(
    start: Start, number: signal.Signals
) -> None:
    up = start(GRADSERVE_LEASE_SECONDS="3").wait_until_up()
    running = [up.submit(LONG), up.submit(LONG)]
    until(lambda: all(up.job(id)["step"] > 0 for id in running), 30, "both run")
    waiting = up.submit(SHORT)

    asked = time.monotonic()
    code = up.end(number)

    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert up.err == ""
    if number != signal.SIGKILL:
        assert up.leftovers() == []
    # Started at once after a kill, the next one waits until the old processes are gone.
    again = start(GRADSERVE_LEASE_SECONDS="3").wait_until_up()
    assert time.monotonic() - asked < GONE_SECONDS + 10
    for id in [*running, waiting]:
        job = again.wait_for(id, "succeeded")
        assert_as_undisturbed(again, id)
        if number != signal.SIGKILL:
            assert job["attempt"] == 1


def test_a_kill_leaves_nothing(up: Up) -> None:
    up.submit(LONG)

    up.end(signal.SIGKILL)

    until(lambda: not up.leftovers(), GONE_SECONDS, "nothing is left")


def test_a_kill_of_parent_and_watchdog_leaves_no_process(up: Up) -> None:
    up.submit(LONG)

    os.kill(up.part("watchdog"), signal.SIGKILL)
    up.end(signal.SIGKILL)

    until(lambda: not up.leftovers(), GONE_SECONDS, "nothing is left")


def test_a_kill_with_a_frozen_worker_leaves_nothing(up: Up) -> None:
    os.kill(up.part("worker"), signal.SIGSTOP)

    up.end(signal.SIGKILL)

    until(lambda: not up.leftovers(), GONE_SECONDS, "nothing is left")


def test_a_stop_while_it_starts(start: Start) -> None:
    up = start()
    until(lambda: up.part("broker"), 20, "the broker")

    assert up.end() == 0

    assert up.out == ""
    assert up.err == ""
    assert up.leftovers() == []


def test_a_second_signal_stops_it_at_once(up: Up) -> None:
    os.kill(up.part("worker"), signal.SIGSTOP)
    up.process.send_signal(signal.SIGINT)
    until(lambda: not up.part("api"), 10, "the stop has begun")

    asked = time.monotonic()

    assert up.end(signal.SIGINT) == 0
    assert time.monotonic() - asked < 5
    assert up.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_folder_too_long_for_a_socket(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    data = tmp_path / ("long" * 20) / "spaces and 'signs;%20#?"
    up = start(data).wait_until_up()
    (socket,) = re.findall(r"unixsocket:(\S+)", running_in(data)[up.part("broker")])
    broker = Path(socket)
    assert broker.is_socket()
    assert broker.parent.stat().st_mode & 0o077 == 0

    up.wait_for(up.submit(SHORT), "succeeded")
    up.end(number)

    until(lambda: not up.leftovers(), GONE_SECONDS, "nothing is left")
    until(lambda: not broker.parent.exists(), GONE_SECONDS, "the socket's folder is gone")


@pytest.mark.parametrize("part", ["broker", "api", "worker", "recovery"])
def test_a_part_that_dies_is_started_again(up: Up, part: str) -> None:
    before = up.part(part)

    os.kill(before, signal.SIGKILL)

    until(lambda: up.part(part) not in (0, before), 20, "a new one")
    assert f"the {part} ended (killed by SIGKILL), starting it again" in up.err
    up.wait_for(up.submit(SHORT), "succeeded")
    assert up.end() == 0
    assert up.leftovers() == []


def test_five_deaths_within_a_minute_end_it(up: Up) -> None:
    killed: set[int] = set()
    for _ in range(5):
        pid = until(lambda: {up.part("recovery")} - {0} - killed, 30, "recovery").pop()
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    assert up.process.wait(30) == 1

    *restarts, last = up.err.splitlines()
    assert len(restarts) == 4
    assert "recovery ended 5 times within a minute" in last
    assert str(up.data / "logs" / "recovery.log") in last
    assert up.leftovers() == []


def test_own_servers_replace_the_embedded_ones(
    start: Start, postgres_database: str, broker: str
) -> None:
    up = start(GRADSERVE_DATABASE_URL=postgres_database, GRADSERVE_BROKER_URL=broker)
    up.wait_until_up()

    id = up.submit(SHORT)

    up.wait_for(id, "succeeded")
    assert up.part("broker") == 0
    assert not list(up.data.glob("*.db"))
    assert up.end() == 0


def test_the_terminal_stays_quiet(up: Up) -> None:
    up.wait_for(up.submit(SHORT), "succeeded")
    url = str(up.http.base_url).rstrip("/")

    assert up.end() == 0

    assert up.out == (
        f"gradserve is up at {url} (docs at {url}/docs), data in {up.data}, Ctrl-C stops it\n"
    )
    assert up.err == ""
    assert "job succeeded" in up.log("worker")
