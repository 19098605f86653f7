"""Notices that files of the running service were deleted or replaced.

The programs keep what they have opened, so that a service whose data folder is gone would accept
jobs that nobody can find after its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service.common.errors import GradserveError


class FilesGone(GradserveError):
    """The service has lost its files; the text says which and what to do."""


class Presence:
    """Files as they are now. `files` says for each what a person knows it by."""

    def __init__(self, files: Mapping[Path, str]) -> None:
        self._files = {path: (name, _identity(path)) for path, name in files.items()}

    def check(self) -> None:
        """
        Raises:
            FilesGone: a file is no longer there, or another one is in its place.
        """
        for path, (name, identity) in self._files.items():
            if _identity(path, unknown=identity) != identity:
                raise FilesGone(
                    f"{name} was deleted or replaced while the service ran on it, so that new jobs "
                    "would be lost: put it back if you have it, and start `gradserve up` again"
                )


def _identity(path: Path, unknown: tuple[int, int] | None = None) -> tuple[int, int] | None:
    """Which file this is; `unknown` when the system does not say, as on a slow network."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return unknown
    return found.st_dev, found.st_ino
