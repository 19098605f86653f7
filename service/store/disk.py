"""The disk under an embedded database: how much of it has to stay free, and a reserve.

Postgres may be on another machine, whose disk cannot be seen from here; nothing is checked then.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from service.common.errors import DiskFull
from service.common.settings import Settings

RESERVE = "reserve"
# Enough for the pages that a cancel or a delete writes, and for SQLite's files to be opened.
RESERVE_BYTES = 8 * 2**20
# On a small disk neither takes more than this part of it.
FREE_PART = 10
RESERVE_PART = 20


def check(settings: Settings) -> None:
    """Raises DiskFull where so little is free that no new job may be stored."""
    folder = _folder(settings)
    if folder is None:
        return
    usage = shutil.disk_usage(folder)
    wanted = _must_remain(settings, usage.total)
    if usage.free < wanted:
        raise DiskFull(usage.free, wanted)


def is_short(settings: Settings) -> bool:
    """Whether running jobs have to wait, so that what ends them can still be written."""
    folder = _folder(settings)
    if folder is None:
        return False
    usage = shutil.disk_usage(folder)
    return usage.free < _must_remain(settings, usage.total) // 2


def take_reserve(settings: Settings) -> None:
    """Frees the reserve where a cancel or a delete might not find room otherwise."""
    folder = _folder(settings)
    if folder is None:
        return
    if shutil.disk_usage(folder).free < RESERVE_BYTES:
        # OSError: what wants to write next finds out what is wrong.
        with suppress(OSError):
            (folder / RESERVE).unlink(missing_ok=True)


def make_reserve(settings: Settings) -> None:
    """Sets a reserve aside, where there is none and enough is free."""
    folder = _folder(settings)
    if folder is None:
        return
    file = folder / RESERVE
    usage = shutil.disk_usage(folder)
    size = min(RESERVE_BYTES, usage.total // RESERVE_PART)
    if file.exists() or usage.free < _must_remain(settings, usage.total) + size:
        return
    with suppress(OSError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)


def _must_remain(settings: Settings, total: int) -> int:
    return min(settings.min_free_bytes, total // FREE_PART)


def _folder(settings: Settings) -> Path | None:
    return settings.sqlite_file.parent if settings.sqlite_file else None
