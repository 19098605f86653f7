"""`make demo` from the outside: its output, its files, and that it leaves nothing else behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import running_in

DEMO = [sys.executable, "-m", "gradserve.cli.demo"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty folder for temporary files, to see what stays in it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return {**os.environ, "TMPDIR": str(temporary)}


def test_the_demo_trains_and_draws_and_leaves_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    # Settings for another service have no effect on the demo.
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

    assert running_in(tmp_path) == {}
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
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
        if line.startswith("Submitting"):
            break
    # Like Ctrl-C, the signal goes to the demo and to everything that it started in the foreground.
    os.killpg(process.pid, how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + how
    assert "Traceback" not in errors
    assert running_in(tmp_path) == {}
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
