"""The service says which part is missing, and works again when the part is available again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url
from werkzeug.test import TestResponse

from service.api.app import create_app
from service.common.settings import Settings
from service.store.connections import make_engine
from tests import servers

Spec = dict[str, Any]

DEAD_BROKER = "redis://127.0.0.1:1/0"


def assert_unavailable(answer: TestResponse) -> None:
    assert answer.status_code == 503, answer.get_data(as_text=True)
    assert answer.mimetype == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time for which the service waits for locks."""
    monkeypatch.setattr("service.store.connections.SQLITE_BUSY_SECONDS", {"api": 0.2, "worker": 15})
    monkeypatch.setattr(
        "service.store.connections.POSTGRES_TIMEOUTS",
        {"lock_timeout": "200ms", "statement_timeout": "2s"},
    )


def test_a_service_that_has_all_its_parts_is_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    checks = ready.json["checks"]  # type: ignore[index]
    assert set(checks) - {"disk"} == {"database", "schema", "broker"}
    assert set(checks.values()) == {"ok"}


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        ({"broker_url": DEAD_BROKER}, "broker"),
        ({"database_url": "sqlite:////nonexistent/x.db"}, "database"),
        ({"database_url": "postgresql://nobody@127.0.0.1:1/x"}, "database"),
    ],
)
def test_the_part_that_is_missing_is_named(
    settings: Settings, missing: dict[str, str], part: str
) -> None:
    given = {"database_url": settings.database_url, "broker_url": settings.broker_url} | missing
    client = create_app(Settings(auth="off", **given)).test_client()  # type: ignore[arg-type]
    answer = client.get("/readyz")
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert part in answer.json["detail"]  # type: ignore[index]
    checks = answer.json["checks"]  # type: ignore[index]
    assert [name for name, state in checks.items() if state == "cannot be reached"] == [part]
    assert client.get("/healthz").status_code == 200


def test_a_database_without_our_tables_is_not_ready(tmp_path: Path, broker: str) -> None:
    settings = Settings(
        auth="off", database_url=f"sqlite:///{tmp_path}/empty.db", broker_url=broker
    )
    answer = create_app(settings).test_client().get("/readyz")
    assert answer.status_code == 503
    assert "migrations" in answer.json["checks"]["schema"]  # type: ignore[index]


def test_jobs_are_accepted_without_a_broker(database: str, moons: Spec) -> None:
    client = create_app(
        Settings(auth="off", database_url=database, broker_url=DEAD_BROKER)
    ).test_client()
    answer = client.post("/v1/jobs", json=moons)
    assert answer.status_code == 201
    assert client.get(answer.headers["Location"]).json["state"] == "queued"  # type: ignore[index]


def test_jobs_are_accepted_while_the_broker_is_frozen(sqlite_database: str, moons: Spec) -> None:
    with servers.valkey() as broker:
        settings = Settings(auth="off", database_url=sqlite_database, broker_url=broker.url)
        client = create_app(settings).test_client()
        broker.process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        assert client.post("/v1/jobs", json=moons).status_code == 201
        assert time.monotonic() - start < 5
        broker.process.send_signal(signal.SIGCONT)
        assert client.post("/v1/jobs", json=moons).status_code == 201


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_is_503_and_passes(settings: Settings, moons: Spec) -> None:
    client = create_app(settings).test_client()
    kept = client.post("/v1/jobs", json=moons).headers["Location"]
    with make_engine(settings, "worker").begin() as other:
        if not settings.sqlite:
            other.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        assert_unavailable(client.post("/v1/jobs", json=moons))
        assert_unavailable(client.post(f"{kept}/cancel"))
        assert client.get(kept).status_code == 200
        assert len(client.get("/v1/jobs").json["items"]) == 1  # type: ignore[index]
    assert client.post("/v1/jobs", json=moons).status_code == 201


def test_a_database_that_went_away_is_503(moons: Spec) -> None:
    settings = Settings(
        auth="off", database_url="postgresql://nobody@127.0.0.1:1/x", broker_url=DEAD_BROKER
    )
    client = create_app(settings).test_client()
    for answer in (
        client.post("/v1/jobs", json=moons),
        client.get("/v1/jobs"),
        client.get(f"/v1/jobs/job_{'0' * 24}"),
        client.get(f"/v1/jobs/job_{'0' * 24}/history"),
    ):
        assert_unavailable(answer)


@pytest.fixture
def connections_cut(postgres_database: str) -> Callable[[], None]:
    """Closes every connection to the database, as a restart of the server does."""

    def cut() -> None:
        url = make_url(postgres_database)
        maintenance = url.set(database="postgres").render_as_string(hide_password=False)
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(
                sql.SQL(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
                ).format(sql.Literal(url.database))
            )

    return cut


def test_a_restarted_postgres_costs_no_request(
    postgres_database: str, connections_cut: Callable[[], None], moons: Spec
) -> None:
    settings = Settings(auth="off", database_url=postgres_database, broker_url=DEAD_BROKER)
    client = create_app(settings).test_client()
    kept = client.post("/v1/jobs", json=moons).headers["Location"]
    for _ in range(3):
        connections_cut()
        assert client.get(kept).status_code == 200
        assert client.post("/v1/jobs", json=moons).status_code == 201


def test_a_full_disk_is_503_and_passes(sqlite_database: str, moons: Spec) -> None:
    settings = Settings(auth="off", database_url=sqlite_database, broker_url=DEAD_BROKER)
    app = create_app(settings)
    client = app.test_client()
    assert client.post("/v1/jobs", json=moons).status_code == 201
    engine = app.extensions["gradserve"].database.engine
    large = moons | {
        "dataset": {
            "kind": "inline",
            "x": [[float(i)] for i in range(40_000)],
            "y": [0, 1] * 20_000,
        }
    }
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    assert_unavailable(client.post("/v1/jobs", json=large))
    assert len(client.get("/v1/jobs").json["items"]) == 1  # type: ignore[index]
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000000")
    assert client.post("/v1/jobs", json=large).status_code == 201
