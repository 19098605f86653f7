"""The parts' log files, one each, which must not fill the disk however much a part writes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Per part there is one file of this size at most, and the end of the one before.
MAX_LOG_BYTES = 5 * 2**20


def rotate(log: Path) -> None:
    """Keeps the end of a log that has grown large as NAME.old.log, and empties it.

    The part may go on writing: it appends to the same file. What it writes between the copy and
    the emptying is lost. On a full disk the old lines are lost too, so that there is room again.
    """
    with suppress(OSError):
        size = log.stat().st_size
        if size <= MAX_LOG_BYTES:
            return
        old = log.with_suffix(".old.log")
        old.unlink(missing_ok=True)
        try:
            with log.open("rb") as source:
                source.seek(size - MAX_LOG_BYTES)
                # Not to the end of the file, which a part that writes without end keeps moving.
                old.write_bytes(source.read(MAX_LOG_BYTES))
        except OSError:
            old.unlink(missing_ok=True)
        os.truncate(log, 0)
