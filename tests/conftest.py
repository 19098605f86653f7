"""The fixtures that all tests share: real databases and a real broker.

GRADSERVE_TEST_DATABASE_URL names a Postgres server to use instead of the wheel's, with an
account that may create databases. GRADSERVE_TEST_BROKER_URL names a Redis server, of which each
test process flushes one database. Each test gets a database of its own, copied from one that the
migrations made.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from flask.testing import FlaskClient
from kombu import Connection
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from service.api.app import create_app
from service.common.settings import Settings
from service.store.connections import make_engine, make_sessions
from service.store.migrate import upgrade
from tests import servers

_numbers = itertools.count()
_END_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


# What takes longest is done on Postgres by `make test`, and on SQLite too by `make test-long`.
ON_ONE_KIND = (
    "test_f1_a_killed_pool_process_loses_nothing",
    "test_f3_recovery_may_die_anywhere",
    "test_f5_a_process_that_is_stuck_does_not_hold_up_the_stop",
    "test_f5_a_worker_that_is_told_to_stop_puts_its_jobs_back",
    "test_f10_a_job_that_kills_its_worker_fails_and_its_neighbours_finish",
    "test_f11_a_locked_database_costs_a_pause",
    "test_a_slice_that_takes_longer_than_the_lease_keeps_its_job",
    "test_without_the_fence_a_process_that_wakes_up_does_harm",
    "test_a_job_that_grows_beyond_its_memory_fails_and_the_next_one_does_not",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name, _, kind = item.name.partition("[")
        if name in ON_ONE_KIND and "sqlite" in kind:
            item.add_marker(pytest.mark.long)


def pytest_configure() -> None:
    # A shell makes its background commands ignore Ctrl-C, and the programs that the tests start
    # inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a Postgres server's maintenance database."""
    given = os.environ.get("GRADSERVE_TEST_DATABASE_URL")
    if given:
        yield given
    else:
        with servers.postgres() as server:
            yield server.url


@pytest.fixture(scope="session")
def broker_server() -> Iterator[str]:
    """The address of a broker that no other test process uses."""
    given = os.environ.get("GRADSERVE_TEST_BROKER_URL")
    if given:
        # Redis numbers its databases; each test process flushes one of its own.
        number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        yield urlsplit(given)._replace(path=f"/{number}").geturl()
    else:
        with servers.valkey() as server:
            yield server.url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    upgrade(Settings(database_url=f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated Postgres database, to be copied."""
    with _fresh_postgres(postgres_server) as url:
        upgrade(Settings(database_url=url))
        yield str(make_url(url).database)


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of an empty, migrated SQLite database."""
    path = tmp_path / "gradserve.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_database(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """The address of an empty, migrated Postgres database."""
    with _fresh_postgres(postgres_server, postgres_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """The address of an empty, migrated database; tests that use it run on both kinds."""
    url: str = request.getfixturevalue(f"{request.param}_database")
    return url


@pytest.fixture
def broker(broker_server: str) -> str:
    """The address of an empty broker."""
    _flush(broker_server)
    return broker_server


@pytest.fixture
def settings(database: str, broker: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database, broker_url=broker, data_dir=str(tmp_path), auth="off")


@pytest.fixture
def sessions(settings: Settings) -> Iterator[sessionmaker[Session]]:
    """Sessions that write, with the worker's timeouts, made as the worker makes them."""
    engine = make_engine(settings, "worker")
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    """A client of the HTTP API, without a server in between."""
    app = create_app(settings)
    with app.test_client() as client:
        yield client
    app.extensions["gradserve"].close()


@contextmanager
def _fresh_postgres(server: str, template: str = "template0") -> Iterator[str]:
    """A new database on the server, dropped afterwards even if there are still connections."""
    name = f"gradserve_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            # DROP DATABASE looks for connections every 100 ms only, so they are ended before it.
            while any(connection.execute(_END_CONNECTIONS, (name,)).fetchall()):
                time.sleep(0.002)
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def _flush(broker_url: str) -> None:
    with Connection(broker_url) as connection:
        connection.default_channel.client.flushdb()
