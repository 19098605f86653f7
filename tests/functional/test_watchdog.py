"""The watchdog alone: the end of its pipe means that its parent is dead."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

from service.run.watchdog import watch
from tests.processes import alive

OBEDIENT = "import time; print(flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"


def start(code: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def messages(*lines: str) -> io.BytesIO:
    return io.BytesIO("".join(f"{line}\n" for line in lines).encode())


def test_it_stops_what_was_started_and_removes_what_was_left(tmp_path: Path) -> None:
    leftover = tmp_path / "private" / "broker.sock"
    leftover.parent.mkdir()
    leftover.touch()
    obedient = start(OBEDIENT)
    stubborn = start(STUBBORN)

    watch(
        messages(f"+{obedient.pid}", f"+{stubborn.pid}", f"!{leftover}", f"!{leftover.parent}"),
        grace=0.3,
    )

    assert obedient.wait(5) == -signal.SIGTERM
    assert stubborn.wait(5) == -signal.SIGKILL
    assert not leftover.parent.exists()


def test_it_leaves_alone_what_has_ended(tmp_path: Path) -> None:
    survivor = start(OBEDIENT)
    started = time.monotonic()

    watch(messages(f"+{survivor.pid}", f"-{survivor.pid}"), grace=30)

    assert time.monotonic() - started < 5
    assert alive(survivor.pid)
    survivor.kill()
    survivor.wait()
