"""Artifacts: one row per question, published once, taken in turns, and dropped when in the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.common.errors import JobNotFound, LeaseLost, TooBusy
from service.common.settings import Settings
from service.store import artifact_claims, artifacts, jobs, owners
from service.store.artifact_claims import ArtifactClaim
from service.store.database import Database
from service.store.owners import Owner
from service.store.tables import Artifact
from tests.service.lifecycle import at

Sessions = sessionmaker[Session]
ADA, BOB = Owner("ada"), Owner("bob")


class Box:
    """A database of the API, and the ids that it publishes."""

    def __init__(self, settings: Settings) -> None:
        self.published: list[str] = []
        self.database = Database(settings, "api", self.published.append)

    def submit(self, owner: Owner, spec: JobSpec) -> str:
        with self.database.write(owner) as session:
            id = jobs.create(session, spec).id
        self.published.clear()
        return id

    def ask(self, owner: Owner, job_id: str, step: int = 1) -> str:
        with self.database.write(owner) as session:
            return artifacts.ask(session, job_id, "parameters", {"step": step}).id


@pytest.fixture
def box(settings: Settings) -> Iterator[Box]:
    box = Box(settings)
    yield box
    box.database.engine.dispose()


def claim(sessions: Sessions) -> ArtifactClaim | None:
    with sessions.begin() as session:
        return artifact_claims.claim_next(session, lease_seconds=20)


def succeed(sessions: Sessions, held: ArtifactClaim, size: int = 10, now: float = 100.0) -> None:
    with sessions.begin() as session:
        artifact_claims.succeed(
            session, held, data=b"x" * size, media_type="text/plain", now=at(now)
        )


def kept(sessions: Sessions) -> list[int]:
    """The steps of the artifacts that there are."""
    with sessions.begin() as session:
        rows = session.execute(text("SELECT arguments FROM artifacts ORDER BY pk")).scalars()
        return [int(arguments.removeprefix('{"step":').removesuffix("}")) for arguments in rows]


def test_equal_questions_are_one_and_published_once(box: Box, spec: JobSpec) -> None:
    job = box.submit(ADA, spec)
    ids = {box.ask(ADA, job), box.ask(ADA, job)}
    with box.database.write(ADA) as session:
        ids.add(artifacts.ask(session, job, "parameters", {"step": 1}).id)
        other = artifacts.ask(session, job, "graph", {"step": 1}).id
    assert len(ids) == 1
    assert box.published == [*ids, other]
    assert artifacts.as_text({"b": 1, "a": [2.5]}) == '{"a":[2.5],"b":1}'


def test_of_two_who_ask_at_the_same_time_one_publishes(box: Box, spec: JobSpec) -> None:
    job = box.submit(ADA, spec)
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        box.ask(ADA, job)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(box.published) == 1


def test_what_another_has_asked_answers_as_unknown(box: Box, spec: JobSpec) -> None:
    job = box.submit(ADA, spec)
    id = box.ask(ADA, job)
    with box.database.write(BOB) as session:
        assert session.query(Artifact).count() == 0
        assert session.query(Artifact).filter_by(id=id).update({"kind": "mine"}) == 0
        assert session.query(Artifact).filter_by(id=id).delete() == 0
        assert artifacts.bytes_of_owner(session) == 0
        with pytest.raises(JobNotFound):
            artifacts.ask(session, job, "parameters", {"step": 1})
    with box.database.read(ADA) as session:
        found = artifacts.find(session, jobs.key(session, job), "parameters", {"step": 1})
        assert found is not None
        assert (found.id, found.owner) == (id, "ada")


def test_every_table_with_an_owner_column_is_kept_to_its_owner() -> None:
    with_owner = {
        mapper.class_
        for mapper in Artifact.registry.mappers
        if "owner" in mapper.columns and mapper.class_.__name__ not in ("ApiKey", "IdempotencyKey")
    }
    assert with_owner == set(owners.OWNED)


def test_one_owner_cannot_ask_without_end(
    box: Box, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "MAX_UNFINISHED", 3)
    mine, other = box.submit(ADA, spec), box.submit(BOB, spec)
    for step in range(3):
        box.ask(ADA, mine, step)
    with pytest.raises(TooBusy, match="3 other answers are being computed for you"):
        box.ask(ADA, mine, 3)
    box.ask(ADA, mine, 2)  # is not a new question
    box.ask(BOB, other, 3)


def test_owners_take_turns(box: Box, sessions: Sessions, spec: JobSpec) -> None:
    mine, other = box.submit(ADA, spec), box.submit(BOB, spec)
    for step in range(4):
        box.ask(ADA, mine, step)
    for step in range(2):
        box.ask(BOB, other, step)
    order = []
    for moment in range(7):
        with sessions.begin() as session:
            held = artifact_claims.claim_next(session, lease_seconds=20, now=at(100.0 + moment))
        if held is not None:
            order.append((held.owner, held.arguments["step"]))
    assert order == [("ada", 0), ("bob", 0), ("ada", 1), ("bob", 1), ("ada", 2), ("ada", 3)]


def test_of_many_workers_each_gets_another_artifact(
    box: Box, sessions: Sessions, spec: JobSpec
) -> None:
    job = box.submit(ADA, spec)
    for step in range(6):
        box.ask(ADA, job, step)
    held: list[ArtifactClaim | None] = []
    threads = [threading.Thread(target=lambda: held.append(claim(sessions))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while (another := claim(sessions)) is not None:
        held.append(another)
    assert sorted(one.arguments["step"] for one in held if one) == list(range(6))


def test_a_claim_says_what_is_to_be_computed(box: Box, sessions: Sessions, spec: JobSpec) -> None:
    job = box.submit(ADA, spec)
    id = box.ask(ADA, job, 7)
    held = claim(sessions)
    assert held is not None
    assert (held.id, held.job_id, held.owner) == (id, job, "ada")
    assert (held.kind, held.arguments, held.attempt) == ("parameters", {"step": 7}, 1)
    assert JobSpec.model_validate_json(held.spec) == spec
    assert claim(sessions) is None


@pytest.mark.parametrize("change", ["renew", "succeed", "fail", "release"])
def test_a_claim_that_is_over_changes_nothing(
    box: Box, sessions: Sessions, spec: JobSpec, change: str
) -> None:
    box.ask(ADA, box.submit(ADA, spec))
    held = claim(sessions)
    assert held is not None
    changes: dict[str, Callable[[Session, ArtifactClaim], None]] = {
        "renew": lambda session, old: artifact_claims.renew_lease(session, old, lease_seconds=9),
        "succeed": lambda session, old: artifact_claims.succeed(
            session, old, data=b"", media_type=""
        ),
        "fail": lambda session, old: artifact_claims.fail(session, old, artifact_claims.LOST),
        "release": artifact_claims.release,
    }
    for old in (replace(held, attempt=0), replace(held, pk=4711)):
        with sessions.begin() as session, pytest.raises(LeaseLost):
            changes[change](session, old)
    with sessions.begin() as session:
        changes[change](session, held)


def test_an_artifact_of_a_lost_worker_is_published_again(
    box: Box, sessions: Sessions, spec: JobSpec
) -> None:
    id = box.ask(ADA, box.submit(ADA, spec))
    assert claim(sessions) is not None
    with box.database.write(ADA) as session:
        assert artifacts.free_lost_leases(session, lease_seconds=20) == []
        session.execute(text("UPDATE artifacts SET lease_until = 1"))
        assert artifacts.free_lost_leases(session, lease_seconds=20) == [id]
        assert artifacts.publish_again(session, republish_seconds=15) == [id]
        assert artifacts.publish_again(session, republish_seconds=15) == []
    assert box.published == [id, id]
    again = claim(sessions)
    assert again is not None
    assert (again.id, again.attempt) == (id, 2)


def test_a_message_that_was_lost_is_published_again(box: Box, spec: JobSpec) -> None:
    job = box.submit(ADA, spec)
    ids = [box.ask(ADA, job, step) for step in range(3)]
    with box.database.write(ADA) as session:
        assert artifacts.publish_again(session, republish_seconds=15) == []
        session.execute(text("UPDATE artifacts SET published_at = published_at - 60"))
        assert artifacts.publish_again(session, republish_seconds=15, limit=2) == ids[:2]


def test_the_oldest_answers_are_dropped_above_the_room_for_them(
    box: Box, sessions: Sessions, spec: JobSpec
) -> None:
    job = box.submit(ADA, spec)
    for step in range(5):
        box.ask(ADA, job, step)
        if step < 4:
            held = claim(sessions)
            assert held is not None
            succeed(sessions, held, size=1000, now=1000.0 - step)  # step 3 is the oldest
    with box.database.read(ADA) as session:
        total = artifacts.bytes_of_owner(session)
    each = 1000 + artifact_claims.ROW_BYTES
    assert total == 4 * each

    def drop(max_bytes: int, now: float = 2000.0) -> int:
        with sessions.begin() as session:
            return artifacts.drop(session, max_bytes=max_bytes, now=at(now))

    assert drop(total) == 0
    assert drop(total - 1, now=1000.0) == 0  # just computed: somebody may be about to read them
    assert drop(total - 1) == 1
    assert kept(sessions) == [0, 1, 2, 4]
    assert drop(each) == 2
    assert kept(sessions) == [0, 4]
    assert drop(0) == 1
    assert kept(sessions) == [4]  # is still to be computed


def test_a_failure_is_forgotten_after_an_hour(box: Box, sessions: Sessions, spec: JobSpec) -> None:
    box.ask(ADA, box.submit(ADA, spec))
    held = claim(sessions)
    assert held is not None
    with sessions.begin() as session:
        artifact_claims.fail(session, held, artifact_claims.LOST, now=at(100.0))
    for now, dropped in ((3600.0, 0), (3701.0, 1)):
        with sessions.begin() as session:
            assert artifacts.drop(session, max_bytes=10**9, now=at(now)) == dropped
    assert kept(sessions) == []
