"""A ceiling on the memory of a job, so that one that grows beyond it fails and no other does.

Without it the kernel ends whichever process is largest, and a job that is tried three times takes
its neighbours' memory three times.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS = Path("/proc/self/status")
# What a job may need beside what its specification tells: modules that it is the first to load,
# stacks of threads, pieces that no array fits into.
SLACK_BYTES = 128 * 2**20


@contextmanager
def ceiling(max_bytes: int) -> Iterator[None]:
    """Within it, a request for more than `max_bytes` above what is in use raises MemoryError."""
    if sys.platform != "linux":  # elsewhere the limit does not count large arrays
        yield
        return
    # Not RLIMIT_AS: compilers and allocators reserve gigabytes of addresses and never use them.
    # On Linux RLIMIT_DATA counts all private memory that can be written, also that of mmap.
    before = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data_bytes() + max_bytes + SLACK_BYTES
    soft = wanted if before[0] == resource.RLIM_INFINITY else min(wanted, before[0])
    resource.setrlimit(resource.RLIMIT_DATA, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_bytes() -> int:
    """What RLIMIT_DATA counts, as it is now."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024
