"""The interactive worker as a process: it computes answers, is killed, stops and trusts nobody."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from service.api.app import create_app
from service.common.messages import ARTIFACTS, INTERACTIVE_QUEUE, JOBS, make_publisher
from service.run import programs
from service.store import artifacts
from service.store.database import Database
from service.store.owners import LOCAL, Owner
from tests.processes import until
from tests.worker.conftest import Bench, Start, make_spec, publish
from tests.worker.test_consumer import JOB, drops, foreign, message, push
from worker.recovery import RecoveryLoop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

ARTIFACT = "art_0123456789abcdef01234567"


def trained(bench: Bench) -> tuple[str, int]:
    """A job whose step before the last takes seconds to replay, and the number of that step."""
    id = bench.submit(make_spec(steps=1_000_000, checkpoint_every=1_000_000))
    bench.work(id, at_slice=lambda number: number >= 60)
    bench.change("DELETE FROM checkpoints")
    return id, bench.job(id).step - 1


def states(bench: Bench) -> list[str]:
    return [state for (state,) in bench.rows("SELECT state FROM artifacts ORDER BY pk")]


def test_an_answer_survives_the_death_and_the_stop_of_its_worker(
    sqlite_bench: Bench, start_worker: Start
) -> None:
    bench = sqlite_bench
    id, step = trained(bench)
    app = create_app(replace(bench.settings, auth="off"))
    client = app.test_client()
    path = f"/v1/jobs/{id}/parameters?step="
    assert client.get(f"{path}{step}", headers={"Prefer": "wait=0"}).status_code == 202
    recovery = RecoveryLoop(bench.settings, make_publisher(bench.settings))

    killed = start_worker(bench.settings, programs.interactive())
    until(lambda: states(bench) == ["running"], 60, "the computation")
    killed.kill()
    killed.wait()
    bench.change("UPDATE artifacts SET lease_until = 1")  # as if the lease had run out
    recovery.free()
    assert states(bench) == ["queued"]
    recovery.publish_again(ARTIFACTS)
    stopped = start_worker(bench.settings, programs.interactive())
    until(lambda: client.get(f"{path}{step}").status_code == 200, 60, "the answer")

    client.get(f"{path}{step - 1}", headers={"Prefer": "wait=0"})
    until(lambda: states(bench) == ["succeeded", "running"], 60, "the next one")
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(10) == 0
    assert states(bench) == ["succeeded", "queued"]
    recovery.database.engine.dispose()
    app.extensions["gradserve"].close()


def test_it_takes_no_message_but_for_artifacts_and_trains_nothing(
    sqlite_bench: Bench,
    start_worker: Start,
    log: Callable[[], str],
    tmp_path: Path,
    broker: str,
) -> None:
    bench = sqlite_bench
    client = redis.Redis(unix_socket_path=broker.removeprefix("redis+socket://"))
    queued = bench.submit(make_spec(steps=20))
    items: dict[str, Any] = foreign(tmp_path / "mark") | {
        "a job": message([[queued], {}, {}]),
        "a job for the other task": message([[queued], {}, {}], task=ARTIFACTS.task),
        "an artifact for the other task": message([[ARTIFACT], {}, {}], task=JOBS.task),
    }
    for item in items.values():
        push(client, item, INTERACTIVE_QUEUE)
    worker = start_worker(bench.settings, programs.interactive())
    until(lambda: len(drops(log())) == len(items), 60, "all are dropped")

    publish(bench.settings, ARTIFACT)  # of which there is no row
    done = bench.submit(make_spec(steps=20))
    bench.work(done)
    database = Database(bench.settings, "api", lambda id: publish(bench.settings, id))
    with database.write(Owner(LOCAL)) as session:
        artifacts.ask(session, done, "parameters", {"step": 3})
    database.engine.dispose()
    until(lambda: states(bench) == ["succeeded"], 30, "the answer")

    assert bench.job(queued).state == "queued"
    assert worker.poll() is None
    assert not (tmp_path / "mark").exists()
    assert "Traceback" not in log()
    assert JOB not in log()
    client.close()
