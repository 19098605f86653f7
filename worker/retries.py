"""Transactions are retried while the database does not answer, as long as that helps.

A database that restarts, is locked or is full for a while costs a pause, not a job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

log = logging.getLogger(__name__)

T = TypeVar("T")

# InternalError: Postgres has ended a transaction that stood idle, in a frozen process, say.
UNREACHABLE = (OperationalError, InterfaceError, InternalError, PoolTimeout)
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


def persist(
    sessions: sessionmaker[Session],
    work: Callable[[Session, bool], T],
    *,
    until: float,
    hurry: Callable[[], bool],
) -> T:
    """Runs `work(session, again)` in a transaction, and again after an outage.

    `again` is True after a failed try: its COMMIT may have succeeded although the answer was
    lost.

    Args:
        until: time.monotonic() after which no new try is made.
        hurry: whether to give up after a failed try, because the process has to stop.

    Raises:
        OperationalError, InterfaceError, InternalError, PoolTimeout: the last failure.
    """
    pause = FIRST_PAUSE_SECONDS
    again = False
    while True:
        try:
            with sessions.begin() as session:
                return work(session, again)
        except UNREACHABLE as error:
            if hurry() or time.monotonic() + pause > until:
                raise
            log.warning("database does not answer", extra={"reason": reason(error)})
        again = True
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def reason(error: Exception) -> str:
    """The driver's reason, on one line and without the statement and its values."""
    return str(getattr(error, "orig", error)).strip().splitlines()[0]
