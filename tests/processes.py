"""Waiting for conditions and looking for processes, for tests that start and kill them."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float, what: str = "") -> T:
    """The first true value of the condition; fails the test if it has none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"did not happen within {seconds:g} s: {what or condition.__name__}"
            )
        time.sleep(0.02)


def running_in(folder: Path) -> dict[int, str]:
    """Processes whose working folder is `folder` or below, and their command lines (Linux).

    Children inherit the folder, so this also finds those that lost their parent, but no zombies.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            cwd = (process / "cwd").readlink()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if command and cwd.is_relative_to(folder):
            found[int(process.name)] = command.strip()
    return found


def children(pid: int) -> list[int]:
    """The direct children of a process, oldest first."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def processor_seconds_of_children() -> float:
    """What the children that have ended have computed, which other work does not stretch."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
