"""A message leaves after the commit of its transaction, and never without one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from engine.spec import JobSpec
from service.common.settings import Settings
from service.store import controls, jobs, recovery
from service.store.connections import make_engine, make_sessions
from service.store.database import Database
from service.store.owners import Owner

OWNER = Owner("local")


class Box:
    """Takes messages, and looks for each job as a worker would that is very fast."""

    def __init__(self, settings: Settings) -> None:
        self.states: list[tuple[str, str]] = []
        self.database = Database(settings, "api", self.receive)
        self._engine = make_engine(settings, "worker")
        self._sessions = make_sessions(self._engine)

    def receive(self, job_id: str) -> None:
        with self._sessions.begin() as session:
            self.states.append((job_id, jobs.get(session, job_id).state))

    def close(self) -> None:
        self.database.engine.dispose()
        self._engine.dispose()


@pytest.fixture
def box(settings: Settings) -> Iterator[Box]:
    box = Box(settings)
    yield box
    box.close()


def submit(box: Box, spec: JobSpec) -> str:
    with box.database.write(OWNER) as session:
        id = jobs.create(session, spec).id
        assert box.states == []
    return id


def make_commit_fail(session: Session) -> None:
    """Leaves behind what only the COMMIT refuses."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        session.execute(
            text(
                "INSERT INTO events (job, at, kind, to_state, actor) "
                "VALUES (4711, 0, 'created', 'queued', 'api')"
            )
        )
    else:
        session.execute(text("CREATE TEMP TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        session.execute(text("INSERT INTO once VALUES (1), (1)"))


def test_a_new_job_is_published_when_a_worker_can_see_it(box: Box, spec: JobSpec) -> None:
    id = submit(box, spec)
    assert box.states == [(id, "queued")]


def test_a_resumed_job_is_published_and_a_withdrawn_pause_is_not(box: Box, spec: JobSpec) -> None:
    id = submit(box, spec)
    box.states.clear()
    with box.database.write(OWNER) as session:
        controls.request_pause(session, id)
    assert box.states == []
    for _ in range(2):  # the second changes nothing
        with box.database.write(OWNER) as session:
            controls.request_resume(session, id)
    assert box.states == [(id, "queued")]


def test_jobs_that_wait_too_long_are_published_in_their_order(box: Box, spec: JobSpec) -> None:
    ids = [submit(box, spec)]
    with box.database.write(OWNER) as session:
        ids += [jobs.create(session, spec).id for _ in range(2)]
        session.execute(text("UPDATE jobs SET rung_at = rung_at - 60"))
    box.states.clear()
    with box.database.write(OWNER) as session:
        recovery.publish_again(session, republish_seconds=15, limit=2)
    assert [id for id, _ in box.states] == ids[:2]


def rolled_back(session: Session) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("spoil", "error"), [(rolled_back, ZeroDivisionError), (make_commit_fail, IntegrityError)]
)
def test_without_a_commit_nothing_is_published(
    box: Box, spec: JobSpec, spoil: Callable[[Session], None], error: type[Exception]
) -> None:
    def submit_in_vain() -> None:
        with box.database.write(OWNER) as session:
            jobs.create(session, spec)
            spoil(session)

    with pytest.raises(error):
        submit_in_vain()
    assert box.states == []
    with box.database.read(OWNER) as session:
        assert jobs.page(session, limit=1).items == []


def test_a_slow_broker_holds_up_no_other_writer(settings: Settings, spec: JobSpec) -> None:
    publishing, done = threading.Event(), threading.Event()

    def publish(job_id: str) -> None:
        publishing.set()
        assert done.wait(10)

    database = Database(settings, "api", publish)

    def submit() -> None:
        with database.write(OWNER) as session:
            jobs.create(session, spec)

    thread = threading.Thread(target=submit)
    thread.start()
    assert publishing.wait(10)
    with database.write(OWNER) as session:
        session.execute(text("DELETE FROM idempotency_keys"))
    done.set()
    thread.join()
    database.engine.dispose()
