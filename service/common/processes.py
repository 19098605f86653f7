"""Calls to the operating system by which no process outlives `gradserve up`, or takes too much.

Every child leads a session of its own: the terminal's Ctrl-C reaches the parent only, and a
child is ended together with whatever it forked by signalling its group. On Linux the kernel
also sends a child SIGTERM when the parent dies, however it dies, and hands orphaned
grandchildren to the parent. `service.run.watchdog` does the same for the other systems.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
M_ARENA_MAX = -8
HEAPS = 2


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    pass_fds: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts `argv` in a session of its own, its output appended to `log`.

    The calling thread has to live as long as the child: its end counts as the parent's death.
    """
    with log.open("ab") as output:
        return subprocess.Popen(  # nosec B603 - command lines of service.run.programs, no shell
            argv,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM),
        )


def share_heaps() -> None:
    """Lets the threads of this process share two heaps (glibc); call it before they start.

    With one for nearly every thread, what one has freed does not serve the next: the API took 290
    MiB instead of 180 for the same large bodies.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """Asks the kernel to send this process a signal when `parent` ends (Linux).

    Not inherited over fork, but over exec.
    """
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os._exit(1)


def adopt_orphans() -> None:
    """Makes this process the parent of what its children leave behind (Linux)."""
    if sys.platform == "linux":
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def group_alive(leader: int) -> bool:
    """Whether the process group has a member, a zombie included."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS: nothing but zombies is left
        return False
    return True


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signals a whole group; nothing happens when it is gone."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def signal_leader(leader: int, number: signal.Signals) -> None:
    """Signals the first process of a group only; it tells its own children."""
    try:
        os.kill(leader, number)
    except ProcessLookupError:
        return


if sys.platform == "linux":
    _libc = ctypes.CDLL(None, use_errno=True)

    def _prctl(option: int, value: int) -> None:
        zero = ctypes.c_ulong(0)
        if _libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def usable_cores() -> int:
    """The cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
