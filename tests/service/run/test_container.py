"""Mistakes stop a container with one sentence; servers that are unavailable do not stop it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import redis

from service.common.settings import Settings
from tests import servers
from tests.processes import until

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
def locked_postgres() -> Iterator[str]:
    """A format for addresses of a Postgres that asks the user `guest` for a password."""
    with servers.postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
            row = connection.execute("SHOW hba_file").fetchone()
            assert row is not None
            Path(row[0]).write_text("local all postgres trust\nlocal all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield server.url.replace("postgres@/postgres", "{login}@/{name}")


@pytest.fixture(scope="module")
def locked_broker() -> Iterator[str]:
    """A Valkey with the password `right`."""
    with servers.valkey() as server:
        client = redis.Redis(unix_socket_path=server.url.removeprefix("redis+socket://"))
        client.config_set("requirepass", "right")
        yield server.url


def container(role: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a container that cannot start, and waits until it has ended."""
    inherited = {name: text for name, text in os.environ.items() if "GRADSERVE" not in name}
    return subprocess.run(
        [sys.executable, "-m", "service.run.container", role],
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refusal(role: str, environ: Mapping[str, str]) -> str:
    """The one line that the container logs before it ends."""
    done = container(role, environ)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (event,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (event["level"], event["role"]) == ("CRITICAL", role)
    return str(event["message"])


@pytest.mark.parametrize("role", ["api", "worker", "interactive", "recovery", "migrate"])
def test_an_address_has_to_be_given(role: str) -> None:
    assert "GRADSERVE_DATABASE_URL is not set" in refusal(role, {})


def test_the_old_name_of_a_role_is_accepted_with_a_warning() -> None:
    done = container("sweeper", {})
    warning, refused = [json.loads(line) for line in done.stderr.splitlines()]
    assert (warning["level"], warning["role"], warning["new"]) == ("WARNING", "sweeper", "recovery")
    assert (refused["level"], refused["role"]) == ("CRITICAL", "recovery")


def test_an_unknown_setting_is_refused(sqlite_database: str) -> None:
    environ = {
        "GRADSERVE_DATABASE_URL": sqlite_database,
        "GRADSERVE_BROKER_URL": AWAY,
        "GRADSERVE_LEASE_SECOND": "3",
    }
    assert refusal("api", environ) == (
        "GRADSERVE_LEASE_SECOND is not a setting of gradserve: "
        "did you mean GRADSERVE_LEASE_SECONDS?"
    )


@pytest.mark.parametrize("role", ["api", "migrate"])
@pytest.mark.parametrize(
    ("login", "name", "reason"),
    [
        ("guest:wrong", "postgres", 'password authentication failed for user "guest"'),
        ("guest:right", "nowhere", 'database "nowhere" does not exist'),
    ],
)
def test_a_database_that_lets_nobody_in(
    locked_postgres: str, role: str, login: str, name: str, reason: str
) -> None:
    environ = {
        "GRADSERVE_DATABASE_URL": locked_postgres.format(login=login, name=name),
        "GRADSERVE_BROKER_URL": AWAY,
    }
    assert refusal(role, environ) == (
        f"the database refuses what GRADSERVE_DATABASE_URL says ({reason}): "
        "correct it, or the database; a volume keeps the password that it was made with"
    )


def test_a_schema_that_lacks_migrations(locked_postgres: str) -> None:
    environ = {
        "GRADSERVE_DATABASE_URL": locked_postgres.format(login="guest:right", name="postgres"),
        "GRADSERVE_BROKER_URL": AWAY,
    }
    assert "run the migrations first" in refusal("worker", environ)


@pytest.mark.parametrize("password", ["", ":wrong@"])
def test_a_broker_that_lets_nobody_in(
    settings: Settings, locked_broker: str, password: str
) -> None:
    environ = {
        "GRADSERVE_DATABASE_URL": settings.database_url,
        "GRADSERVE_BROKER_URL": locked_broker.replace("://", f"://{password}"),
    }
    sentence = refusal("worker", environ)
    assert sentence.startswith("the broker refuses the password in GRADSERVE_BROKER_URL")
    assert "wrong" not in sentence


def test_migrating_waits_for_nobody_and_says_why() -> None:
    environ = {
        "GRADSERVE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/gradserve",
        "GRADSERVE_BROKER_URL": AWAY,
    }
    assert refusal("migrate", environ).startswith("the database cannot be used: ")


def test_nobody_else_can_read_what_a_container_writes(tmp_path: Path) -> None:
    database = tmp_path / "new.db"
    heartbeat = tmp_path / "alive"
    environ = os.environ | {
        "GRADSERVE_DATABASE_URL": f"sqlite:///{database}",
        "GRADSERVE_BROKER_URL": AWAY,
        "GRADSERVE_HEARTBEAT_FILE": str(heartbeat),
    }
    command = [sys.executable, "-m", "service.run.container"]

    subprocess.run([*command, "migrate"], env=environ, check=True, capture_output=True, umask=0)
    recovery = subprocess.Popen([*command, "recovery"], env=environ, stderr=-1, umask=0)
    until(heartbeat.exists, 30, "the program has taken the place of the container")
    recovery.terminate()
    recovery.communicate(timeout=20)

    assert {file.name: oct(file.stat().st_mode & 0o777) for file in (database, heartbeat)} == {
        "new.db": "0o600",
        "alive": "0o600",
    }


def test_recovery_starts_while_its_servers_are_away(tmp_path: Path) -> None:
    heartbeat = tmp_path / "alive"
    environ = {
        "GRADSERVE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/gradserve",
        "GRADSERVE_BROKER_URL": AWAY,
        "GRADSERVE_HEARTBEAT_FILE": str(heartbeat),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "service.run.container", "recovery"],
        env=os.environ | environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = [json.loads(process.stderr.readline())["message"] for _ in range(3)]
    finally:
        process.terminate()
        process.communicate(timeout=20)

    assert process.returncode == 0
    assert said == [
        "the database does not answer yet",
        "the broker does not answer yet",
        "recovery started",
    ]
