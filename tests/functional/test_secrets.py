"""Passwords and keys are in no log, no list of processes, no answer and no metric."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest
import redis

from service.store import api_keys
from tests import servers
from tests.functional.conftest import SHORT, Start, Up
from tests.processes import until

DATABASE_PASSWORD = "Tr0ub4dor@db/%41"
BROKER_PASSWORD = "Tr0ub4dor@broker/%41"
API_KEY = api_keys.generate()
SECRETS = [DATABASE_PASSWORD, BROKER_PASSWORD, API_KEY]


@dataclass(frozen=True)
class Locked:
    """A Postgres and a Valkey that ask for their passwords, and how the tests change them."""

    database: str
    broker: str
    admin: str
    client: redis.Redis

    def settings(self, database_password: str, broker_password: str) -> dict[str, str]:
        return {
            "GRADSERVE_DATABASE_URL": self.database.format(quote(database_password, safe="")),
            "GRADSERVE_BROKER_URL": self.broker.format(quote(broker_password, safe="")),
            "GRADSERVE_AUTH": "keys",
            "GRADSERVE_FIRST_API_KEY": API_KEY,
        }

    def change_passwords(self) -> None:
        """Nobody of the service gets in any more."""
        self.client.config_set("requirepass", "changed")
        self.client.execute_command("AUTH", "changed")
        for connection in self.client.client_list():
            if connection["id"] != str(self.client.client_id()):
                self.client.client_kill_filter(_id=connection["id"])
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute("ALTER ROLE guest PASSWORD 'changed'")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'"
            )


@pytest.fixture(scope="module")
def both() -> Iterator[Locked]:
    with locked() as found:
        yield found


@contextmanager
def locked() -> Iterator[Locked]:
    with servers.postgres() as postgres, servers.valkey() as valkey:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE guest LOGIN PASSWORD '{DATABASE_PASSWORD}'")
            connection.execute("CREATE DATABASE locked OWNER guest")
            row = connection.execute("SHOW hba_file").fetchone()
            assert row is not None
            Path(row[0]).write_text("local all postgres trust\nlocal all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        socket = valkey.url.removeprefix("redis+socket://")
        client = redis.Redis(unix_socket_path=socket, single_connection_client=True)
        client.config_set("requirepass", BROKER_PASSWORD)
        yield Locked(
            database=postgres.url.replace("postgres@/postgres", "guest:{}@/locked"),
            broker=f"redis+socket://:{{}}@{socket}",
            admin=postgres.url,
            client=client,
        )
        client.close()


def everything_told(up: Up) -> str:
    """The terminal, the logs and every process's arguments."""
    logs = [log.read_text() for log in (up.data / "logs").iterdir()]
    processes = subprocess.run(
        ["ps", "-e", "-ww", "-o", "args"], capture_output=True, text=True, check=True
    )
    return "\n".join([up.out, up.err, processes.stdout, *logs])


def assert_silent(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text
        assert quote(secret, safe="") not in text
    assert "Tr0ub4dor" not in text


def answers(http: httpx.Client) -> str:
    """Good answers and bad ones, with headers."""
    key = {"Authorization": f"Bearer {API_KEY}"}
    asked = [
        http.get("/readyz"),
        http.get("/metrics", headers=key),
        http.post("/v1/jobs", json=SHORT, headers=key),
        http.post("/v1/jobs", json={"name": 1}, headers=key),
        http.get("/v1/jobs", headers=key),
        http.get(f"/v1/jobs/{'x' * 20}", headers=key),
        http.get("/v1/jobs", headers={"Authorization": f"Bearer {API_KEY}x"}),
        http.get("/v1/jobs", headers={"Authorization": f"Basic {API_KEY}"}),
        http.get("/v1/jobs"),
    ]
    return "\n".join(f"{answer.status_code} {answer.headers} {answer.text}" for answer in asked)


def test_neither_success_nor_failure_tells_a_secret(both: Locked, start: Start) -> None:
    up = start(**both.settings(DATABASE_PASSWORD, BROKER_PASSWORD)).wait_until_up()
    up.http.headers["Authorization"] = f"Bearer {API_KEY}"
    up.wait_for(up.submit(SHORT), "succeeded")
    while_it_works = answers(httpx.Client(base_url=up.http.base_url)) + everything_told(up)

    both.change_passwords()
    until(lambda: up.http.get("/readyz").status_code == 503, 30, "the servers refuse")
    until(lambda: "Cannot connect to redis" in up.log("worker"), 60, "the worker says so")
    until(lambda: "does not answer" in up.log("recovery"), 60, "recovery says so")
    while_it_fails = answers(httpx.Client(base_url=up.http.base_url)) + everything_told(up)

    assert "503" in while_it_fails
    assert_silent(while_it_works)
    assert_silent(while_it_fails)
    up.end()
    assert_silent(everything_told(up))


@pytest.mark.parametrize("wrong", ["database", "broker"])
def test_a_refusal_at_the_start_tells_none_either(start: Start, wrong: str) -> None:
    with locked() as servers_:
        up = start(
            **servers_.settings(
                *(
                    password + ("-wrong" if name == wrong else "")
                    for name, password in (
                        ("database", DATABASE_PASSWORD),
                        ("broker", BROKER_PASSWORD),
                    )
                )
            )
        )

        assert up.process.wait(60) == 1
        assert len(up.err.splitlines()) == 1
        assert_silent(everything_told(up))
