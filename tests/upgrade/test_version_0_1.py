"""A database of version 0.1 can still be used: nothing is lost, and jobs end with the same bits.

version_0_1.sql.gz is the dump of a SQLite file that version 0.1 wrote. It holds one job of 600
steps in each state, but two that succeeded (scalar and native). The same rows are copied into
Postgres.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from flask.testing import FlaskClient
from sqlalchemy import Engine, MetaData, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from service.api.app import create_app
from service.common.settings import Settings
from service.store import migrate, recovery
from service.store.connections import make_engine, make_sessions
from tests.conftest import _fresh_postgres
from worker.run_job import Context, train_job

DUMP = Path(__file__).with_name("version_0_1.sql.gz")
TABLES = ("jobs", "history", "checkpoints", "results", "events", "idempotency_keys")


def restore_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(gzip.decompress(DUMP.read_bytes()).decode())


def restore_postgres(settings: Settings, source: Engine) -> None:
    """Migrates Postgres to version 0.1's schema, and copies the rows into it."""
    engine = make_engine(settings, "migrate")
    config = migrate._config()
    with engine.begin() as connection, source.connect() as rows:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        tables = MetaData()
        tables.reflect(connection)
        for name in TABLES:
            table = tables.tables[name]
            found = rows.execute(text(f"SELECT * FROM {name}")).mappings().all()
            values = [dict(row) for row in found]
            for row in values:
                if "retained" in row:
                    row["retained"] = bool(row["retained"])
            connection.execute(table.insert(), values)
        for name in ("jobs", "events"):
            sequence = f"pg_get_serial_sequence('{name}', 'pk')"
            connection.execute(text(f"SELECT setval({sequence}, (SELECT max(pk) FROM {name}))"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path, broker: str) -> Iterator[Settings]:
    """The settings of a service with a database that version 0.1 wrote."""
    path = tmp_path / "old.db"
    restore_sqlite(path)
    url = f"sqlite:///{path}"
    if request.param == "sqlite":
        yield Settings(auth="off", database_url=url, broker_url=broker, data_dir=str(tmp_path))
        return
    with _fresh_postgres(request.getfixturevalue("postgres_server")) as address:
        settings = Settings(
            auth="off", database_url=address, broker_url=broker, data_dir=str(tmp_path)
        )
        restore_postgres(settings, create_engine(url))
        yield settings


@pytest.fixture
def upgraded(old: Settings) -> Settings:
    migrate.upgrade(old)
    return old


@pytest.fixture
def client(upgraded: Settings) -> Iterator[FlaskClient]:
    app = create_app(upgraded)
    yield app.test_client()
    app.extensions["gradserve"].close()


@pytest.fixture
def sessions(upgraded: Settings) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(upgraded, "worker")
    yield make_sessions(engine)
    engine.dispose()


def named(client: FlaskClient) -> dict[str, Any]:
    return {job["name"]: job for job in client.get("/v1/jobs?limit=100").json["items"]}


def sha256(client: FlaskClient, id: str) -> str:
    found: str = client.get(f"/v1/jobs/{id}/parameters").json["sha256"]
    return found


def test_every_job_is_there_with_its_state_and_history(client: FlaskClient) -> None:
    jobs = named(client)
    assert {name: (job["state"], job["step"]) for name, job in jobs.items()} == {
        "queued": ("queued", 0),
        "running": ("running", 0),
        "cancelled": ("cancelled", 0),
        "failed": ("failed", 27),
        "paused": ("paused", 235),
        "succeeded natively": ("succeeded", 600),
        "succeeded": ("succeeded", 600),
    }
    for job in jobs.values():
        assert (job["best"], job["final"]) == (None, None)
        assert client.get(f"/v1/jobs/{job['id']}").json["environment"] == []
    rows = client.get(f"/v1/jobs/{jobs['succeeded']['id']}/history").json["items"]
    assert [row["step"] for row in rows] == [*range(0, 600, 20), 599]
    assert {row["elapsed_seconds"] for row in rows} == {None}


def test_the_jobs_are_charged_to_their_owner(upgraded: Settings) -> None:
    with make_engine(upgraded, "api").connect() as connection:
        charged = connection.execute(text("SELECT owner, stored_bytes FROM owners")).all()
        spec, checkpoints = (
            connection.execute(text(f"SELECT sum(length({column})) FROM {table}")).scalar_one()
            for column, table in (("spec", "jobs"), ("data", "checkpoints"))
        )
    assert [tuple(row) for row in charged] == [("local", spec + checkpoints)]


def test_unfinished_jobs_end_with_the_bits_of_the_old_version(
    client: FlaskClient, sessions: sessionmaker[Session], upgraded: Settings
) -> None:
    jobs = named(client)
    assert client.post(f"/v1/jobs/{jobs['paused']['id']}/resume").json["state"] == "queued"
    with sessions.begin() as session:
        freed = recovery.free_lost_leases(session, lease_seconds=20, limit=10)
    assert freed == [jobs["running"]["id"]]
    expected = sha256(client, jobs["succeeded"]["id"])
    for name in ("paused", "running", "queued"):
        id = jobs[name]["id"]
        train_job(Context(upgraded, sessions, "new:1", lambda: False), id)
        job = client.get(f"/v1/jobs/{id}").json
        assert (job["state"], job["final"]["step"]) == ("succeeded", 600)
        assert sha256(client, id) == expected
        steps = [row["step"] for row in client.get(f"/v1/jobs/{id}/history").json["items"]]
        assert steps == [*range(0, 600, 20), 599]
        assert job["environment"][0]["from_step"] == (235 if name == "paused" else 0)
        rows = client.get(f"/v1/jobs/{id}/history").json["items"]
        best = min(rows, key=lambda row: row["loss"])
        assert {key: best[key] for key in job["best"]} == job["best"]


def test_an_unfinished_job_with_early_stopping_delivers_the_last_parameters(
    client: FlaskClient, sessions: sessionmaker[Session], upgraded: Settings
) -> None:
    """As version 0.1 did, which stored no `keep`; a new job delivers the best ones."""
    training = {
        "steps": 600,
        "log_every": 20,
        "validation_fraction": 0.4,
        "early_stopping": {"patience": 5, "min_delta": 0.0},
    }
    spec = {
        "dataset": {"kind": "moons", "n_samples": 60, "noise": 0.3, "seed": 1},
        "model": {
            "layers": [{"units": 8, "activation": "tanh"}, {"units": 1, "activation": "linear"}]
        },
        "loss": {"kind": "max_margin", "delta": None},
        "optimizer": {"learning_rate": 0.5},
        "training": training,
    }
    old = named(client)["queued"]["id"]
    with sessions.begin() as session:
        session.execute(
            text("UPDATE jobs SET spec = :spec WHERE id = :id"),
            {"spec": json.dumps(spec), "id": old},
        )
    last = client.post("/v1/jobs", json=spec | {"training": training | {"keep": "last"}}).json["id"]
    new = client.post("/v1/jobs", json=spec).json["id"]
    for id in (old, last, new):
        train_job(Context(upgraded, sessions, "new:1", lambda: False), id)
    assert sha256(client, old) == sha256(client, last) != sha256(client, new)


def test_a_new_job_has_the_bits_of_the_old_version_with_both_executors(
    client: FlaskClient, sessions: sessionmaker[Session], upgraded: Settings
) -> None:
    jobs = named(client)
    for name in ("succeeded", "succeeded natively"):
        spec = client.get(f"/v1/jobs/{jobs[name]['id']}").json["spec"]
        id = client.post("/v1/jobs", json=spec).json["id"]
        train_job(Context(upgraded, sessions, "new:1", lambda: False), id)
        assert sha256(client, id) == sha256(client, jobs[name]["id"])


def test_an_old_idempotency_key_makes_no_second_job(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    """Its hash is that of a request with the fields of version 0.1."""
    with sessions.begin() as session:  # a key holds for a day, and the dump is older
        query = text("UPDATE idempotency_keys SET created_at = :now")
        session.execute(query, {"now": time.time()})
    spec = client.get(f"/v1/jobs/{named(client)['queued']['id']}").json["spec"]
    before = len(named(client))
    headers = {"Idempotency-Key": "an-old-key"}
    answer = client.post("/v1/jobs", json=spec, headers=headers)
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, "true")
    other = client.post("/v1/jobs", json=spec | {"name": "another"}, headers=headers)
    assert other.status_code == 422
    assert len(named(client)) == before


def test_a_process_of_the_old_version_can_write_beside_the_new_schema(
    sessions: sessionmaker[Session],
) -> None:
    """Version 0.1 inserts history rows without the new column, and jobs without the others."""
    with sessions.begin() as session:
        session.execute(text("INSERT INTO history (job, step, loss) VALUES (1, 1, 0.5)"))
        query = text("SELECT elapsed_seconds FROM history WHERE job = 1 AND step = 1")
        assert session.execute(query).scalar_one() is None
