"""Connections for many processes that read and write at the same time."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from service.common.errors import DatabaseUnavailable
from service.common.settings import Settings
from service.store.clock import DATABASE_TIME
from service.store.connections import make_engine, make_sessions
from service.store.database import Database
from service.store.owners import Owner

OWNER = Owner("local")

INSERT = text(
    "INSERT INTO jobs (id, spec, steps, created_at, updated_at) VALUES (:id, '{}', 1, 0, 0)"
)


@pytest.fixture
def sqlite(sqlite_database: str) -> Settings:
    return Settings(database_url=sqlite_database)


@pytest.fixture
def postgres(postgres_database: str) -> Settings:
    return Settings(database_url=postgres_database)


@pytest.mark.parametrize(("role", "busy"), [("api", 3000), ("worker", 15000)])
def test_sqlite_survives_a_power_cut_and_waits_as_the_role_can(
    sqlite: Settings, role: str, busy: int
) -> None:
    with make_engine(sqlite, role).connect() as connection:  # type: ignore[arg-type]
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": busy,
    }


def test_postgres_never_waits_for_long(postgres: Settings) -> None:
    with make_engine(postgres, "api").connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    assert found == {
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
    }


def test_writers_that_read_first_do_not_fail_on_each_other(settings: Settings) -> None:
    """With SQLite's deferred transactions most writers would end in "database is locked"."""
    sessions = make_sessions(make_engine(settings, "worker"))
    count = text("SELECT count(*) FROM jobs")
    errors: list[Exception] = []

    def write(writer: int) -> None:
        try:
            for i in range(20):
                with sessions.begin() as session:
                    session.execute(count)
                    session.execute(INSERT, {"id": f"{writer}-{i}"})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with sessions.begin() as session:
        assert session.execute(count).scalar_one() == 40


def test_readers_do_not_wait_for_a_writer(settings: Settings) -> None:
    database = Database(settings, "api", print)
    count = text("SELECT count(*) FROM jobs")
    with database.write(OWNER) as writer:
        writer.execute(INSERT, {"id": "a"})
        started = time.monotonic()
        with database.read(OWNER) as reader:
            assert reader.execute(count).scalar_one() == 0
        assert time.monotonic() - started < 1
    with database.read(OWNER) as reader:
        assert reader.execute(count).scalar_one() == 1


def test_a_failed_block_leaves_nothing(settings: Settings) -> None:
    database = Database(settings, "api", print)

    def write_and_fail() -> None:
        with database.write(OWNER) as session:
            session.execute(INSERT, {"id": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.read(OWNER) as session:
        assert session.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 0


def test_postgres_refuses_writes_of_readers(postgres: Settings) -> None:
    database = Database(postgres, "api", print)
    with pytest.raises(DBAPIError, match="read-only"), database.read(OWNER) as session:
        session.execute(INSERT, {"id": "a"})


def test_a_writer_gives_up_when_the_process_is_busy_for_too_long(
    sqlite: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.database.SQLITE_BUSY_SECONDS", {"api": 0.05})
    database = Database(sqlite, "api", print)
    with database.write(OWNER):
        refused = []

        def write() -> None:
            try:
                with database.write(OWNER):
                    pass
            except DatabaseUnavailable as error:
                refused.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_a_writer_gives_up_when_another_process_is_busy_for_too_long(
    sqlite: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_engine(sqlite, "worker")
    monkeypatch.setattr("service.store.database.SQLITE_BUSY_SECONDS", {"api": 0.05})
    database = Database(sqlite, "api", print)
    with (
        other.begin(),
        pytest.raises(OperationalError, match="locked"),
        database.write(OWNER) as session,
    ):
        session.execute(INSERT, {"id": "a"})


def test_the_databases_clock_is_seconds_since_the_epoch(settings: Settings) -> None:
    with make_engine(settings, "api").connect() as connection:
        first = connection.execute(select(DATABASE_TIME)).scalar_one()
        time.sleep(0.01)
        second = connection.execute(select(DATABASE_TIME)).scalar_one()
    assert abs(first - time.time()) < 60
    assert 0.005 < second - first < 60
