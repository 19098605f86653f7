"""Answers that take time, with the whole service: nobody waits behind a training, or for ever."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.functional.conftest import LONG, SHORT, Up
from tests.processes import until

SPARSE = SHORT | {"training": {"steps": 20, "checkpoint_every": 20}}


def test_answers_come_beside_trainings_and_202_while_their_worker_stands_still(up: Up) -> None:
    id = up.submit(SPARSE)
    up.wait_for(id, "succeeded")
    path = f"/v1/jobs/{id}/parameters"
    until(lambda: "ready" in up.log("interactive"), 60, "the interactive worker")
    busy = [up.submit(LONG | {"training": {"steps": 1_000_000}}) for _ in range(3)]
    until(lambda: sum(up.job(job)["state"] == "running" for job in busy) == 2, 30, "all are busy")

    assert up.http.get(path, params={"step": 7}).json()["step"] == 7

    signal_group(up, signal.SIGSTOP)
    first = up.http.get(path, params={"step": 8}, headers={"Prefer": "wait=1"})
    assert (first.status_code, first.headers["Preference-Applied"]) == (202, "wait=1")
    signal_group(up, signal.SIGCONT)
    answer = up.http.get(first.headers["Location"])
    assert (answer.status_code, answer.json()["step"]) == (200, 8)

    killed = up.part("interactive")
    os.kill(killed, signal.SIGKILL)
    # Its successor answers.
    assert up.http.get(path, params={"step": 9}, headers={"Prefer": "wait=30"}).status_code == 200

    signal_group(up, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        began = time.monotonic()
        request = {"params": {"step": 10}, "headers": {"Prefer": "wait=30"}}
        waiting = pool.submit(up.http.get, path, **request)
        time.sleep(0.5)
        os.kill(up.part("api"), signal.SIGTERM)
        assert waiting.result().status_code == 202
    assert time.monotonic() - began < 5


def signal_group(up: Up, number: signal.Signals) -> None:
    """Freezes or thaws the interactive worker with its pool."""
    os.killpg(up.part("interactive"), number)
