"""A Postgres cluster that is killed and started again, and a wire that is cut at a COMMIT."""

from __future__ import annotations

import itertools
import signal
from contextlib import ExitStack
from typing import Self

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from tests import servers


class Cluster:
    """A server of its own: what it has committed survives its death, as in service."""

    def __enter__(self) -> Self:
        self._numbers = itertools.count()
        with ExitStack() as stack:
            self.folder = stack.enter_context(servers.server_folder())
            servers.init_postgres(self.folder)
            self._server = servers.start_postgres(self.folder)
            stack.callback(lambda: self.stop(signal.SIGQUIT))
            # The tests' servers answer before a commit is written, which is quick and would
            # lose commits here. Without fsync they survive all but the death of the machine.
            self.execute("ALTER ROLE postgres SET synchronous_commit = on")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def execute(self, statement: str | sql.Composed) -> None:
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def make_database(self) -> str:
        """The address of a new, empty database."""
        name = f"faults_{next(self._numbers)}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return make_url(self._server.url).set(database=name).render_as_string(hide_password=False)

    def stop(self, number: signal.Signals) -> None:
        """SIGINT ends it in order, SIGQUIT as a crash would."""
        self._server.stop(number)

    def start(self) -> None:
        """Nothing when it runs."""
        if self._server.process.poll() is not None:
            self._server = servers.start_postgres(self.folder)
