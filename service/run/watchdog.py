"""A process that outlives a killed `gradserve up` just long enough to clean up after it.

It reads from a pipe that only the parent writes to. The end of that pipe is the parent's
death, on every system and however it died, also by `kill -9`. Then it stops the process
groups it was told of, removes the leftovers it was told of, and ends. It keeps the lock of the
data folder (an inherited file descriptor) until it is done, so that a new `gradserve up` does
not start beside the remains of the old one.

One line a message: `+PID` a group was started, `-PID` it is gone, `!PATH` a leftover to remove.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from service.common.processes import group_alive, signal_group, signal_leader
from service.run.data_folder import remove

GRACE_SECONDS = 12.0


class Watchdog:
    """The parent's end of the pipe. `keep_fds` stay open in the watchdog until it ends."""

    def __init__(self, keep_fds: Sequence[int]) -> None:
        self._process = subprocess.Popen(  # nosec B603 - this module itself, no shell
            [sys.executable, "-P", "-m", "service.run.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=keep_fds,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin

    def started(self, leader: int) -> None:
        self._send(f"+{leader}")

    def ended(self, leader: int) -> None:
        self._send(f"-{leader}")

    def remove_at_end(self, path: Path) -> None:
        self._send(f"!{path}")

    def close(self) -> None:
        """Ends the watchdog, which first stops what it was not told has ended."""
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        # Without a watchdog the kernel's death signal is still there: continue.
        with suppress(BrokenPipeError):
            self._pipe.write(os.fsencode(line) + b"\n")
            self._pipe.flush()


def watch(pipe: BinaryIO, grace: float = GRACE_SECONDS) -> None:
    """Follows the messages to the end of the pipe, then cleans up."""
    leaders: set[int] = set()
    files: list[Path] = []
    for line in pipe:
        kind, rest = line[:1], line[1:].rstrip(b"\n")
        if kind == b"+":
            leaders.add(int(rest))
        elif kind == b"-":
            leaders.discard(int(rest))
        elif kind == b"!":
            files.append(Path(os.fsdecode(rest)))
    stop_groups(leaders, grace)
    for path in files:
        remove(path)


def stop_groups(leaders: set[int], grace: float) -> None:
    """SIGTERM to every leader, SIGKILL to what is left of its group after the grace."""
    for leader in leaders:
        signal_leader(leader, signal.SIGTERM)
    if wait_for_groups(leaders, grace):
        return
    for leader in leaders:
        signal_group(leader, signal.SIGKILL)
    # Zombies count as alive, and nobody may be there to reap them: do not wait for ever.
    wait_for_groups(leaders, 2.0)


def wait_for_groups(leaders: set[int], seconds: float) -> bool:
    """Waits until no group has a member left; False when the time is over before."""
    deadline = time.monotonic() + seconds
    while any(map(group_alive, leaders)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(sys.stdin.buffer)


if __name__ == "__main__":
    main()
