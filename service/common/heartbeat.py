"""The heartbeat of a program without a port: a file that it touches now and then.

The file's time is the one until which the last beat is good, so that whoever looks at it need not
know the program's rhythm.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


def beat(file: str, good_for: float) -> None:
    """Signals life for `good_for` seconds from now; does nothing without a file."""
    if file:
        until = time.time() + good_for
        Path(file).touch()
        os.utime(file, (until, until))


def beats(file: str) -> bool:
    """Whether the last beat is still good; False when there was none."""
    try:
        return Path(file).stat().st_mtime > time.time()
    except FileNotFoundError:
        return False
