"""A job that has ended can be deleted, and nothing of it is left."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.common.errors import InvalidTransition, JobNotFound, LeaseLost
from service.common.settings import Settings
from service.store import claims, controls, deletion, idempotency, jobs, migrate, space
from service.store.claims import Claim
from service.store.database import Database
from service.store.deletion import delete_job
from service.store.owners import Owner
from tests.processes import until
from tests.service.lifecycle import advance, finish, job

OWNER = Owner("local")

Sessions = sessionmaker[Session]

TABLES = ("history", "checkpoints", "results", "events", "idempotency_keys")


def left(sessions: Sessions, pk: int) -> dict[str, int]:
    """How many rows of each table belong to a job."""
    with sessions.begin() as session:
        query = "SELECT count(*) FROM {} WHERE job = :pk"
        return {
            table: session.execute(text(query.format(table)), {"pk": pk}).scalar_one()
            for table in TABLES
        }


def test_everything_of_the_job_goes_and_nothing_of_others(
    sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    gone, stays = claim(), claim()
    for held in (gone, stays):
        advance(sessions, held, 0, 4)
        finish(sessions, replace(held, step=4), spec)
        with sessions.begin() as session:
            idempotency.remember(session, f"key {held.id}", "0", jobs.get(session, held.id))
    assert all(left(sessions, gone.pk).values())
    before = left(sessions, stays.pk)
    with sessions.begin() as session:
        child = jobs.create(session, spec, parent_id=gone.id).id

    with sessions.begin() as session:
        delete_job(session, gone.id)

    assert not any(left(sessions, gone.pk).values())
    assert left(sessions, stays.pk) == before
    assert job(sessions, child).parent_id is None
    with pytest.raises(JobNotFound):
        job(sessions, gone.id)
    with sessions.begin() as session, pytest.raises(JobNotFound):
        delete_job(session, gone.id)


@pytest.mark.parametrize("state", ["queued", "running", "paused", "cancelling"])
def test_a_job_that_has_not_ended_is_not_deleted(
    sessions: Sessions, submit: Callable[[], str], claim: Callable[..., Claim], state: str
) -> None:
    id = submit() if state in ("queued", "paused") else claim().id
    with sessions.begin() as session:
        if state == "paused":
            controls.request_pause(session, id)
        elif state == "cancelling":
            controls.request_cancel(session, id)
    sentence = f"is {state}, it cannot be deleted before it has ended; cancel it first"
    with sessions.begin() as session, pytest.raises(InvalidTransition, match=sentence):
        delete_job(session, id)
    assert jobs.shown_state(job(sessions, id)) == state


def test_a_long_history_goes_piece_by_piece(
    sessions: Sessions, claim: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, other = claim(), claim()
    for each in (held, other):
        advance(sessions, each, 0, 10)
    with sessions.begin() as session:
        claims.fail(session, held, code="internal", detail="x")
    monkeypatch.setattr(deletion, "_STEP", deletion._STEP.offset(4))
    rows = []
    more = True
    while more:
        with sessions.begin() as session:
            more = deletion.shorten_history(session, held.id)
        rows.append(left(sessions, held.pk)["history"])
    assert rows == [6, 2, 2]
    assert left(sessions, other.pk)["history"] == 10


def test_a_worker_that_was_thought_dead_brings_nothing_back(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    with sessions.begin() as session:
        claims.fail(session, held, code="internal", detail="x")
        delete_job(session, held.id)
    with pytest.raises(LeaseLost):
        advance(sessions, held, 0, 4)
    assert not any(left(sessions, held.pk).values())


def test_a_child_that_is_stored_meanwhile_is_kept_without_its_parent(
    sessions: Sessions, submit: Callable[[], str], spec: JobSpec
) -> None:
    parent = submit()
    with sessions.begin() as session:
        controls.request_cancel(session, parent)
    begun = threading.Event()

    def delete() -> None:
        begun.set()
        with sessions.begin() as session:
            delete_job(session, parent)

    with sessions.begin() as session:
        child = jobs.create(session, spec, parent_id=parent).id
        thread = threading.Thread(target=delete)
        thread.start()
        begun.wait()
        time.sleep(0.2)  # it waits now, where it can
    thread.join()
    assert job(sessions, child).parent_id is None


def fill(database: Database, pk: int, megabytes: int) -> None:
    with database.write(OWNER) as session:
        for step in range(megabytes):
            session.execute(
                text(
                    "INSERT INTO checkpoints (job, step, sha256, retained, created_at, data) "
                    "VALUES (:pk, :step, '', true, 0, zeroblob(1048576))"
                ),
                {"pk": pk, "step": step},
            )


@pytest.mark.parametrize("in_use", [0, 40])  # the file is shortened in one go, or bit by bit
def test_the_file_and_its_log_shrink_again(tmp_path: Path, spec: JobSpec, in_use: int) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/new.db")
    migrate.upgrade(settings)
    database = Database(settings, "recovery", lambda id: None)
    with database.write(OWNER) as session:
        stays, gone = jobs.create(session, spec), jobs.create(session, spec)
        controls.request_cancel(session, gone.id)
    before = space.size(database)
    fill(database, gone.pk, 60)
    fill(database, stays.pk, in_use)
    with database.write(OWNER) as session:
        delete_job(session, gone.id)

    def shrunk() -> bool:
        space.shrink(database)
        return space.size(database) < before + (in_use + 2) * 2**20

    until(shrunk, 60, "the file is short")
    with database.read(OWNER) as session:
        assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        assert session.execute(text("PRAGMA auto_vacuum")).scalar_one() == 2
    database.engine.dispose()


def test_room_for_the_next_checkpoints_stays_while_a_job_runs(
    tmp_path: Path, spec: JobSpec
) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/new.db")
    migrate.upgrade(settings)
    database = Database(settings, "recovery", lambda id: None)
    with database.write(OWNER) as session:
        running, gone = jobs.create(session, spec), jobs.create(session, spec)
        controls.request_cancel(session, gone.id)
        claims.claim(session, running.id, worker="w1", lease_seconds=20)
    fill(database, gone.pk, 30)
    with database.write(OWNER) as session:
        delete_job(session, gone.id)
    space.shrink(database)
    assert (tmp_path / "new.db").stat().st_size > 30 * 2**20
    database.engine.dispose()


def test_a_file_of_an_older_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE letters (text)")  # without auto_vacuum
    settings = Settings(database_url=f"sqlite:///{path}")
    migrate.upgrade(settings)
    database = Database(settings, "recovery", lambda id: None)
    assert space.shrink(database) == 0
    database.engine.dispose()
