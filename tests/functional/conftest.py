"""`gradserve up` as a person runs it: from a shell, in any folder, on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import running_in, until

GRADSERVE = Path(sysconfig.get_path("scripts")) / "gradserve"

# A little longer than the watchdog's grace.
GONE_SECONDS = 15.0


class Up:
    """A running `gradserve up`; `folder` is its working folder, `data` its data folder."""

    def __init__(
        self, folder: Path, data: Path, environ: Mapping[str, str], options: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.data = data
        self._out = folder / "out.txt"
        self._err = folder / "err.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [GRADSERVE, "up", "--port", "0", "--data-dir", data, "--workers", "2", *options],
                cwd=folder,
                env=os.environ | environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_until_up(self) -> Up:
        until(lambda: self.out or self.process.poll() is not None, 60, "up or over")
        match = re.match(r"gradserve is up at (http://\S+) ", self.out)
        assert match, self.err
        self.http = httpx.Client(base_url=match[1], timeout=30)
        return self

    def part(self, name: str) -> int:
        """The process id of a part, or 0 while it has no process."""
        mark = {
            "broker": "valkey-server",
            "api": "gunicorn",
            "worker": "--hostname worker@",
            "interactive": "--hostname interactive@",
            "recovery": "worker.recovery",
            "watchdog": "service.run.watchdog",
        }[name]
        for pid, command in running_in(self.folder).items():
            with suppress(ProcessLookupError):
                if mark in command and os.getsid(pid) == pid:
                    return pid
        return 0

    def log(self, name: str) -> str:
        return (self.data / "logs" / f"{name}.log").read_text()

    def submit(self, spec: Mapping[str, Any]) -> str:
        answer = self.http.post("/v1/jobs", json=spec)
        assert answer.status_code == 201, answer.text
        id: str = answer.json()["id"]
        return id

    def job(self, id: str) -> dict[str, Any]:
        job: dict[str, Any] = self.http.get(f"/v1/jobs/{id}").raise_for_status().json()
        return job

    def wait_for(self, id: str, state: str, seconds: float = 60) -> dict[str, Any]:
        until(lambda: self.job(id)["state"] == state, seconds, f"{id} {state}")
        return self.job(id)

    def history(self, id: str) -> list[dict[str, Any]]:
        answer = self.http.get(f"/v1/jobs/{id}/history", params={"limit": 10000})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def leftovers(self) -> list[str]:
        """Processes and sockets that should no longer exist."""
        sockets = [str(path) for path in self.folder.rglob("*") if path.is_socket()]
        return [*running_in(self.folder).values(), *sockets]

    def clear(self) -> None:
        """Stops everything, whatever the result of the test."""
        for pid in [self.process.pid, *running_in(self.folder)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `gradserve up`, with `folder/var` as the default data folder and extra settings."""
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    started: list[Up] = []

    def start(data: Path | None = None, options: Sequence[str] = (), **environ: str) -> Up:
        up = Up(tmp_path, data or tmp_path / "var", environ, options)
        started.append(up)
        return up

    yield start
    for up in started:
        up.clear()


@pytest.fixture
def up(start: Start) -> Up:
    return start().wait_until_up()


LONG: dict[str, Any] = {
    "name": "long",
    "dataset": {"kind": "xor"},
    "model": {"layers": [{"units": 4, "activation": "tanh"}, {"units": 1}]},
    "loss": {"kind": "mse"},
    "optimizer": {"learning_rate": 0.05},
    "training": {"steps": 2500},
    "executor": "scalar",
}
"""Seconds of training."""

SHORT = LONG | {"name": "short", "training": {"steps": 20}}
