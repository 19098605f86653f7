"""Whether this process of the API has been told to stop.

The server sets it; requests that wait for something look at it and end early.
"""

from __future__ import annotations

_told = False


def start() -> None:
    """Asks requests that wait to end. Safe in a signal handler."""
    global _told
    _told = True


def started() -> bool:
    return _told
