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
from service.run.log_files import MAX_LOG_BYTES
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


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, marks=pytest.mark.long),
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        signal.SIGKILL,
    ],
)
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


@pytest.mark.long
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


@pytest.mark.long
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


def test_a_part_that_dies_is_started_again(up: Up) -> None:
    for part in ("broker", "api", "worker", "interactive", "recovery"):
        before = up.part(part)

        os.kill(before, signal.SIGKILL)

        until(lambda part=part, old=before: up.part(part) not in (0, old), 20, f"a new {part}")
        assert f"the {part} ended (killed by SIGKILL), starting it again" in up.err
        up.wait_for(up.submit(SHORT), "succeeded")
    assert up.end() == 0
    assert up.leftovers() == []


def test_a_part_that_keeps_ending_does_not_end_the_others(up: Up) -> None:
    parts = {name: up.part(name) for name in ("broker", "api", "worker")}
    killed: set[int] = set()
    for _ in range(6):
        pid = until(lambda: {up.part("recovery")} - {0} - killed, 30, "recovery").pop()
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    until(lambda: len(up.err.splitlines()) == 6, 10, "six sentences")
    pauses = [float(pause) for pause in re.findall(r"again in (\S+) s", up.err)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8]
    last = up.err.splitlines()[-1]
    assert "the recovery ended 6 times in a row (killed by SIGKILL)" in last
    assert str(up.data / "logs" / "recovery.log") in last
    ready = up.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["detail"] == "recovery keeps ending (killed by SIGKILL)"
    assert {name: up.part(name) for name in parts} == parts
    up.wait_for(up.submit(SHORT), "succeeded")
    assert up.end() == 0
    assert up.leftovers() == []
    assert not (up.data / "failing.json").exists()


def test_a_part_that_does_not_start_ends_it_with_one_sentence(start: Start) -> None:
    up = start(GUNICORN_CMD_ARGS="--certfile=/nonexistent")

    assert up.process.wait(60) == 1

    *restarts, last = up.err.splitlines()
    assert len(restarts) == 4
    assert "the api ended 5 times in a row (exit code 1), giving up" in last
    assert str(up.data / "logs" / "api.log") in last
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
        f"gradserve is up at {url} (docs at {url}/docs), open to whoever reaches it, "
        f"data in {up.data}, Ctrl-C stops it\n"
    )
    assert up.err == ""
    assert "job succeeded" in up.log("worker")


def test_a_log_stays_small_while_its_part_writes(up: Up) -> None:
    logs = up.data / "logs"
    path = "/" + "x" * 3900

    def turned() -> bool:
        for _ in range(100):
            up.http.get(path)
        return (logs / "api.old.log").exists()

    until(turned, 60, "the log is emptied")
    up.http.get("/last")

    assert (logs / "api.old.log").stat().st_size == MAX_LOG_BYTES
    assert (logs / "api.log").stat().st_size < MAX_LOG_BYTES
    assert "/last" in up.log("api")
    assert up.err == ""
