"""The drain flag: raised once by the worker's parent, seen by all of its pool processes.

A signal to stop reaches only the parent. One byte of anonymous shared memory, mapped when this
module is imported and so before the parent forks, tells the children to checkpoint their jobs
and release them.
"""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)


def start() -> None:
    """Asks every process of this worker to release its job. Safe in a signal handler."""
    _flag[0] = 1


def started() -> bool:
    return _flag[0] == 1
