"""A Postgres cluster that can be killed, started again, cut off and moved to a full disk."""

from __future__ import annotations

import itertools
import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import LiteralString, Self

import psycopg
from sqlalchemy.engine import make_url

from tests import servers
from tests.faults.wire import Wire


class Cluster:
    """A server of its own whose commits survive its death, as in production."""

    def __enter__(self) -> Self:
        self._numbers = itertools.count()
        with ExitStack() as stack:
            self.folder = stack.enter_context(servers.server_folder())
            servers.init_postgres(self.folder)
            self._server = servers.start_postgres(self.folder)
            stack.callback(lambda: self.stop(signal.SIGQUIT))
            # The other test servers confirm a commit before it is written. That is quick, but
            # here it would lose commits. Without fsync, commits survive all but a crash of the
            # machine.
            self.execute("ALTER ROLE postgres SET synchronous_commit = on")
            wire_folder = stack.enter_context(servers.server_folder())
            self.wire = stack.enter_context(Wire(wire_folder, self.folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def execute(self, *statements: LiteralString, database: str = "postgres") -> None:
        with psycopg.connect(self._server.url, dbname=database, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def make_database(self) -> str:
        """The address of a new, empty database, reached through the wire."""
        name = f"faults_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        url = make_url(self._server.url).set(database=name, query={"host": str(self.wire.folder)})
        return url.render_as_string(hide_password=False)

    def size(self, url: str) -> int:
        """The size of a database in bytes."""
        with psycopg.connect(self._server.url, dbname=str(make_url(url).database)) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])

    @contextmanager
    def tables_on(self, disk: Path, url: str) -> Iterator[None]:
        """Keeps the tables that grow on this disk; the write-ahead log stays in its place."""
        database = str(make_url(url).database)
        nobody = pwd.getpwnam("nobody")
        os.chown(disk, nobody.pw_uid, nobody.pw_gid)
        self.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")  # type: ignore[arg-type]
        self._move(database, "small")
        try:
            yield
        finally:  # otherwise every later test of this cluster would look for its tables there
            self._move(database, "pg_default")
            self.execute("DROP TABLESPACE small")

    def _move(self, database: str, space: str) -> None:
        for table in ("jobs", "history", "checkpoints", "events"):
            self.execute(
                f"ALTER TABLE {table} SET TABLESPACE {space}",  # type: ignore[arg-type]
                database=database,
            )

    def stop(self, number: signal.Signals) -> None:
        """Stops the server: SIGINT in order, SIGQUIT like a crash."""
        self._server.stop(number)

    def start(self) -> None:
        """Starts the server unless it is running."""
        if self._server.process.poll() is not None:
            self._server = servers.start_postgres(self.folder)
