"""On a full disk new jobs are refused, and room can be made by cancelling and deleting."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.functional.conftest import LONG, SHORT, Start, Up
from tests.processes import until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only an administrator may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(up: Up) -> tuple[str, Path]:
    """A job that runs, and the file beside its database that takes all the room that is left."""
    until(lambda: (up.data / "reserve").exists(), 20)
    id = up.submit(LONG | {"training": {"steps": 1_000_000}})
    until(lambda: up.job(id)["step"] > 0, 20)
    ballast = up.data / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return id, ballast


def test_a_full_disk_refuses_jobs_until_there_is_room(start: Start, small_disk: Path) -> None:
    up = start(small_disk / "var").wait_until_up()
    id, ballast = fill(up)
    refused = up.http.post("/v1/jobs", json=SHORT)
    assert (refused.status_code, refused.headers["Content-Type"]) == (
        507,
        "application/problem+json",
    )
    assert "delete jobs" in refused.json()["detail"]
    ready = up.http.get("/readyz")
    assert ready.status_code == 503
    assert "too full" in ready.json()["checks"]["disk"]
    assert up.http.get("/healthz").status_code == 200
    assert up.http.post("/v1/jobs", json=SHORT, params={"validate_only": "true"}).is_success

    assert up.http.post(f"/v1/jobs/{id}/cancel").is_success
    up.wait_for(id, "cancelled")
    assert up.http.delete(f"/v1/jobs/{id}").status_code == 204

    ballast.unlink()
    assert up.http.get("/readyz").is_success
    until(lambda: (up.data / "reserve").exists(), 30, "a reserve again")
    up.wait_for(up.submit(SHORT), "succeeded")


@pytest.mark.long
def test_the_service_starts_on_a_full_disk(start: Start, small_disk: Path) -> None:
    up = start(small_disk / "var").wait_until_up()
    id, _ = fill(up)
    up.end()
    again = start(small_disk / "var").wait_until_up()
    assert again.http.get("/readyz").status_code == 503
    assert again.http.post(f"/v1/jobs/{id}/cancel").is_success
    again.wait_for(id, "cancelled")
    assert again.http.delete(f"/v1/jobs/{id}").status_code == 204
