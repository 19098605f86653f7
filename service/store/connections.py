"""Engines and sessions for SQLite and Postgres, set up for several processes at once.

Callers own transactions (`service.store.database`). Repository functions take the session first
and never commit.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from service.common.settings import Settings

Role = Literal["api", "worker", "recovery", "migrate"]

# How long a writer waits for SQLite's one write lock. A request must answer soon; a worker
# has a lease to wait with, but must renew it in time.
SQLITE_BUSY_SECONDS: dict[Role, float] = {"api": 3, "worker": 15, "recovery": 15, "migrate": 15}

# A worker runs one job at a time; the API has one connection for each thread that needs one.
POOL_SIZE: dict[Role, int] = {"api": 32, "worker": 2, "recovery": 1, "migrate": 1}
POOL_TIMEOUT_SECONDS = 3

CONNECT_TIMEOUT_SECONDS = 3
POSTGRES_TIMEOUTS = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
}
MIGRATION_TIMEOUTS = {"statement_timeout": "60s", "lock_timeout": "4s"}

READ_ONLY = "gradserve_read_only"


def make_engine(settings: Settings, role: Role) -> Engine:
    """An engine whose timeouts and pool suit the role; it connects on first use."""
    return _sqlite_engine(settings, role) if settings.sqlite else _postgres_engine(settings, role)


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions that write: on SQLite each transaction takes the write lock when it begins."""
    return sessionmaker(engine, expire_on_commit=False)


def make_read_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions that only read: they wait for no writer, and Postgres refuses their writes."""
    reading = engine.execution_options(**{READ_ONLY: True})
    if engine.dialect.name == "postgresql":
        reading = reading.execution_options(postgresql_readonly=True)
    return sessionmaker(reading, expire_on_commit=False)


def _sqlite_engine(settings: Settings, role: Role) -> Engine:
    busy_seconds = SQLITE_BUSY_SECONDS[role]
    engine = create_engine(
        settings.database_url,
        # None: Python's sqlite3 begins no transaction of its own, the listener below does.
        connect_args={"isolation_level": None, "timeout": busy_seconds},
        pool_size=POOL_SIZE[role],
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # A new file, the only kind that takes this up: what is deleted can leave it again.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait
        connection.execute("PRAGMA synchronous=FULL")  # a commit survives a power cut
        connection.execute("PRAGMA foreign_keys=ON")
        # Some builds overwrite what is deleted with zeros: twice the writing for checkpoints.
        connection.execute("PRAGMA secure_delete=FAST")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that reads before it writes fails at once with "locked" when
        # somebody else wrote in between; an immediate one waits its turn at the start.
        reads = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _postgres_engine(settings: Settings, role: Role) -> Engine:
    timeouts = MIGRATION_TIMEOUTS if role == "migrate" else POSTGRES_TIMEOUTS
    return create_engine(
        settings.database_url,
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in timeouts.items()),
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": f"gradserve-{role}",
        },
        pool_size=POOL_SIZE[role],
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,  # a restarted server costs a reconnect, not a failed request
    )
