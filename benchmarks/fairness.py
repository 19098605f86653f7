"""How long somebody's first job waits behind ten thousand of another: the whole service, measured.

    .venv/bin/python -m benchmarks.fairness [--jobs 10000] [--tries 10] [--database-url URL]

`gradserve up` with one worker process and keys. ada's jobs are stored as POST /v1/jobs stores them,
and while the worker trains them bob submits one at a time over HTTP. Printed is the time from
bob's request to the start of his job, as the service stores it: the rest of the job that just
runs, and the way of a message.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from engine.spec import JobSpec
from service.common.settings import Settings
from service.run import keys
from service.store import jobs
from service.store.database import Database
from service.store.owners import Owner

JOB: dict[str, Any] = {
    "dataset": {"kind": "xor"},
    "model": {"layers": [{"units": 8, "activation": "tanh"}, {"units": 1}]},
    "loss": {"kind": "mse"},
    "optimizer": {"learning_rate": 0.05},
    "training": {"steps": 1000},
    "executor": "scalar",
}
BATCH = 500


def measure(url: str, ada: str, bob: str, tries: int) -> tuple[list[float], list[float]]:
    """Seconds that each of bob's jobs waited, and that ada's jobs took."""
    with client(url, ada) as busy, client(url, bob) as other:
        while not busy.get("/v1/jobs?state=succeeded&limit=1").json()["items"]:
            time.sleep(0.1)  # until the worker has warmed up
        waits = [wait(other, submit(other)) for _ in range(tries)]
        left = busy.get("/v1/jobs?state=queued&limit=1").json()["items"]
        assert left, "ada's jobs had ended before bob's last one began"
        done = busy.get("/v1/jobs?state=succeeded&limit=20").json()["items"]
        return waits, [seconds(job["started_at"], job["finished_at"]) for job in done]


def store(settings: Settings, owner: str, count: int) -> None:
    """Stores queued jobs, in transactions between which others have their turn."""
    database = Database(settings, "api", lambda id: None)
    spec = JobSpec.model_validate(JOB)
    for start in range(0, count, BATCH):
        with database.write(Owner(owner)) as session:
            for _ in range(min(BATCH, count - start)):
                jobs.create(session, spec)
    database.engine.dispose()


def client(url: str, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=60)


def submit(sender: httpx.Client) -> str:
    id: str = sender.post("/v1/jobs", json=JOB).raise_for_status().json()["id"]
    return id


def wait(sender: httpx.Client, id: str) -> float:
    """The seconds between the creation and the start of a job."""
    while True:
        job = sender.get(f"/v1/jobs/{id}").raise_for_status().json()
        if job["terminal"]:
            return seconds(job["created_at"], job["started_at"])
        time.sleep(0.05)


def seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


@contextmanager
def service(folder: Path, database_url: str, waiting: int) -> Iterator[tuple[str, str, str]]:
    """The address of a `gradserve up` in which jobs of ada's wait, and the keys of two people."""
    data = folder / "var"
    data.mkdir()
    settings = Settings(database_url=database_url or f"sqlite:///{data}/gradserve.db")
    made = [
        keys.create(
            settings, owner=name, name=name, scopes=("read", "write"), lifetime_seconds=None
        )
        for name in ("ada", "bob")
    ]
    store(settings, "ada", waiting)
    command = [Path(sysconfig.get_path("scripts")) / "gradserve", "up", "--port", "0"]
    environ = {"GRADSERVE_AUTH": "keys", "GRADSERVE_DATABASE_URL": settings.database_url}
    process = subprocess.Popen(
        [*command, "--workers", "1", "--data-dir", data],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environ,
    )
    try:
        assert process.stdout is not None
        found = re.match(r"gradserve is up at (http://\S+) ", process.stdout.readline())
        assert found, "gradserve up did not start"
        yield found[1], made[0], made[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--database-url", default="", help="an empty database; default: SQLite")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="gradserve-") as folder,
        service(Path(folder), arguments.database_url, arguments.jobs) as (url, ada, bob),
    ):
        waits, lengths = measure(url, ada, bob, arguments.tries)
    print(
        f"beside {arguments.jobs:,} queued jobs of {statistics.median(lengths):.2f} s each "
        f"(the longest {max(lengths):.2f} s), somebody else's job began after "
        f"{statistics.median(waits):.2f} s, the last of {len(waits)} after {max(waits):.2f} s"
    )
    return 0 if max(waits) <= max(lengths) + 1 else 1


if __name__ == "__main__":
    sys.exit(main())
