"""A log stays small while its part writes to it."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.run.log_files import MAX_LOG_BYTES, rotate

LINE = "x" * 999 + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "api.log"


def old(log: Path) -> Path:
    return log.with_name("api.old.log")


def test_a_small_log_is_left_alone(log: Path) -> None:
    log.write_text(LINE)

    rotate(log)

    assert log.read_text() == LINE
    assert not old(log).exists()


def test_a_missing_log_is_no_error(log: Path) -> None:
    rotate(log)


def test_what_is_written_afterwards_is_at_the_beginning(log: Path) -> None:
    with log.open("ab") as output:
        output.write(b"first" + b"." * MAX_LOG_BYTES + b"last")
        output.flush()
        rotate(log)
        output.write(b"next")

    assert log.read_bytes() == b"next"
    assert len(old(log).read_bytes()) == MAX_LOG_BYTES
    assert old(log).read_bytes().endswith(b"last")


def test_a_part_that_writes_without_end_fills_nothing(log: Path, tmp_path: Path) -> None:
    with log.open("ab") as output:
        part = subprocess.Popen(["yes", LINE], stdout=output)
    try:
        largest = 0
        end = time.monotonic() + 3
        while time.monotonic() < end:
            time.sleep(0.05)
            rotate(log)
            largest = max(largest, old(log).stat().st_size if old(log).exists() else 0)
    finally:
        part.kill()
        part.wait()
    rotate(log)

    assert largest == MAX_LOG_BYTES
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2 * MAX_LOG_BYTES


def test_a_disk_without_room_for_the_old_lines_gets_room(log: Path) -> None:
    log.write_bytes(b"." * (MAX_LOG_BYTES + 1))
    code = f"from service.run.log_files import rotate, Path; rotate(Path({str(log)!r}))"

    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
    )

    assert log.stat().st_size == 0
    assert not old(log).exists()
