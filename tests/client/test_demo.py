"""`make demo` from the outside: what it prints, what it writes, and that it leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "client.demo"]
MARK = "DEMO_UNDER_TEST"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One that marks every process of the demo, and gives it an empty folder for its own."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return {**os.environ, MARK: uuid.uuid4().hex, "TMPDIR": str(temporary)}


def processes(environment: dict[str, str]) -> list[str]:
    """The command lines of all processes that the demo has started and left."""
    mark = f"{MARK}={environment[MARK]}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:  # another user's, or gone by now
            continue
    return found


def test_the_demo_trains_and_draws_and_leaves_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    # Settings for another service do not lead the demo there.
    environment |= {"GRADSERVE_DATABASE_URL": "nonsense", "GRADSERVE_URL": "http://example.invalid"}
    done = subprocess.run(
        DEMO,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "step   0   loss 0.8958441028683222 " in done.stdout
    assert "succeeded  step 100/100" in done.stdout

    output = tmp_path / "demo"
    result = json.loads((output / "result.json").read_text())
    last = result["history"][-1]
    assert last["step"] == 99
    assert last["loss"] == pytest.approx(0.010978370135492717, abs=1e-12)
    assert last["accuracy"] == 1.0
    assert result["job"]["state"] == "succeeded"
    assert len(result["parameters"]["layers"]) == 3
    for picture in ("loss.png", "decision_boundary.png"):
        assert (output / picture).read_bytes().startswith(b"\x89PNG")
        assert f"Wrote demo/{picture}" in done.stdout

    assert processes(environment) == []
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_can_be_stopped_at_any_time(
    environment: dict[str, str], tmp_path: Path, how: signal.Signals
) -> None:
    process = subprocess.Popen(
        DEMO,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(("queued", "running")):
            break
    # As Ctrl-C does: to the demo and to everything that it started in the foreground.
    os.killpg(process.pid, how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + how
    assert "Traceback" not in errors
    assert processes(environment) == []
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "demo").write_text("in the way")
    done = subprocess.run(
        DEMO,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "demo: cannot write demo: File exists\n"
    assert done.stdout == ""
