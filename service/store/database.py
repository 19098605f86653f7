"""The API's and recovery's door to the database: a transaction is opened for an owner.

`service.store.everyone` is the only other door; an import contract names who may use it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from service.common.errors import DatabaseUnavailable
from service.common.settings import Settings
from service.store import owners
from service.store.connections import (
    SQLITE_BUSY_SECONDS,
    Role,
    make_engine,
    make_read_sessions,
    make_sessions,
)
from service.store.owners import Owner
from service.store.publishing import to_publish


class Database:
    """Transactions of one process. Reads never wait; on SQLite writers take turns.

    SQLite's busy wait is a poll with growing pauses, so that under load some writers starve. A
    lock in the process hands the database over in order.

    Args:
        publish: sends the message of a job by its id. It must not raise: the job is stored by
            then, and recovery publishes again what was not sent.
    """

    def __init__(self, settings: Settings, role: Role, publish: Callable[[str], object]) -> None:
        self._publish = publish
        self.engine = make_engine(settings, role)
        self.file = settings.sqlite_file
        self._sessions = owners.restrict(make_sessions(self.engine))
        self._read_sessions = owners.restrict(make_read_sessions(self.engine))
        self._writer = threading.Lock() if settings.sqlite else None
        self._patience = SQLITE_BUSY_SECONDS[role]

    @contextmanager
    def write(self, owner: Owner) -> Iterator[Session]:
        """A transaction that commits at the end of the block, then publishes what it collected.

        Raises:
            DatabaseUnavailable: other writers of this process hold the database for too long.
        """
        with self._write() as session:
            owners.bind(session, owner)
            yield session

    @contextmanager
    def read(self, owner: Owner) -> Iterator[Session]:
        """One consistent view of the owner's rows, without waiting for writers."""
        with self._read() as session:
            owners.bind(session, owner)
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self._turn(), self._sessions.begin() as session:
            yield session
        # The turn is over: a broker that does not answer holds up no other writer.
        for job_id in to_publish(session):
            self._publish(job_id)

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with self._read_sessions.begin() as session:
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
        elif self._writer.acquire(timeout=self._patience):
            try:
                yield
            finally:
                self._writer.release()
        else:
            raise DatabaseUnavailable("the database is busy with other writers")
