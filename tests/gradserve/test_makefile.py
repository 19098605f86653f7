"""The make targets that a newcomer uses first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.processes import processor_seconds_of_children

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make") or "make"


def make(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    # Under `make test` this is a make within a make, which would print its folder.
    return subprocess.run(
        [MAKE, "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )


def test_make_alone_lists_every_target() -> None:
    listed = {line.split()[1] for line in make().stdout.splitlines()}
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if ".PHONY" in line)
    assert listed == set(phony.split()[1:])
    assert {"setup", "demo", "test", "up", "lint", "format", "clean"} <= listed


def test_another_setup_takes_no_time() -> None:
    assert make("setup").returncode == 0
    times = []
    for _ in range(3):
        start = processor_seconds_of_children()
        again = make("setup")
        times.append(processor_seconds_of_children() - start)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert min(times) < 1.0


def test_without_a_recent_python_there_is_one_sentence_with_the_remedy(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("setup", env={"PATH": str(tmp_path)})
    assert done.returncode != 0
    assert done.stderr.startswith("No Python 3.11 or newer was found; name one: make setup PYTHON=")
