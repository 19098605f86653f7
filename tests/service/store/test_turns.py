"""The next job is the oldest of the owner who has the fewest running."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.store import claims, jobs, owners, turns
from service.store.claims import Claim
from service.store.owners import Owner
from tests.service import lifecycle

Sessions = sessionmaker[Session]
LEASE = 20.0


def submit(sessions: Sessions, spec: JobSpec, owner: str, count: int = 1) -> list[str]:
    with sessions.begin() as session:
        owners.bind(session, Owner(owner))
        return [jobs.create(session, spec).id for _ in range(count)]


def claim_next(sessions: Sessions) -> Claim | None:
    with sessions.begin() as session:
        return claims.claim_next(session, worker="w", lease_seconds=LEASE)


def drain(sessions: Sessions) -> list[str]:
    made = []
    while (claim := claim_next(sessions)) is not None:
        made.append(claim.owner)
    return made


def test_one_owner_is_served_in_order(sessions: Sessions, spec: JobSpec) -> None:
    ids = submit(sessions, spec, "ada", 3)
    claimed = [claim_next(sessions) for _ in range(4)]
    assert [claim and claim.id for claim in claimed] == [*ids, None]


def test_whoever_has_the_fewest_running_comes_next(sessions: Sessions, spec: JobSpec) -> None:
    submit(sessions, spec, "ada", 5)
    submit(sessions, spec, "bob", 2)
    submit(sessions, spec, "cem", 1)
    assert drain(sessions) == ["ada", "bob", "cem", "ada", "bob", "ada", "ada", "ada"]


def test_an_owner_gets_no_more_than_the_limit_of_running_jobs(
    sessions: Sessions, spec: JobSpec
) -> None:
    def claim() -> Claim | None:
        with sessions.begin() as session:
            return claims.claim_next(session, worker="w", lease_seconds=LEASE, max_running=2)

    submit(sessions, spec, "ada", 5)
    submit(sessions, spec, "bob", 1)
    claimed = [claim() for _ in range(5)]
    assert [made and made.owner for made in claimed] == ["ada", "bob", "ada", None, None]
    first = claimed[0]
    assert first
    with sessions.begin() as session:
        claims.fail(session, first, code="internal", detail="x")
    again = claim()
    assert again
    assert again.owner == "ada"


def test_who_may_have_no_more_is_not_due(sessions: Sessions, spec: JobSpec) -> None:
    submit(sessions, spec, "ada", 2)
    submit(sessions, spec, "bob", 3)
    with sessions.begin() as session:
        for owner in ("ada", "bob", "ada"):
            made = claims.claim_next(session, worker="w", lease_seconds=LEASE)
            assert made
            assert made.owner == owner
        assert turns.others_are_due(session, "ada")
        assert not turns.others_are_due(session, "ada", 1)
        assert turns.others_are_due(session, "ada", 2)


def test_parallel_claims_do_not_exceed_the_limit_together(
    sessions: Sessions, spec: JobSpec
) -> None:
    submit(sessions, spec, "ada", 12)
    made: list[Claim] = []

    def work() -> None:
        for _ in range(3):
            with sessions.begin() as session:
                claim = claims.claim_next(session, worker="w", lease_seconds=LEASE, max_running=3)
                time.sleep(0.005)  # others look while this is not committed
            if claim is not None:
                made.append(claim)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3


def test_one_process_serves_everybody_in_turn(sessions: Sessions, spec: JobSpec) -> None:
    """Nobody has a running job when a process that trains one at a time is free."""
    submit(sessions, spec, "ada", 6)
    submit(sessions, spec, "bob", 2)
    served, made = turns.Served(), []

    def take() -> str:
        with sessions.begin() as session:
            claim = claims.claim_next(session, worker="w", lease_seconds=LEASE, served=served)
            assert claim is not None
        lifecycle.finish(sessions, claim, spec)
        return claim.owner

    made = [take(), take()]
    submit(sessions, spec, "cem")
    made += [take() for _ in range(7)]
    assert made == ["ada", "bob", "cem", "ada", "bob", "ada", "ada", "ada", "ada"]


def test_others_are_due_while_they_have_less(sessions: Sessions, spec: JobSpec) -> None:
    def due(owner: str) -> bool:
        with sessions.begin() as session:
            return turns.others_are_due(session, owner)

    submit(sessions, spec, "ada", 3)
    assert claim_next(sessions)
    assert not due("ada"), "only ada waits"
    submit(sessions, spec, "bob", 2)
    assert due("ada")
    assert claim_next(sessions)
    assert not due("ada"), "both have one running"
    assert not due("bob")


def test_two_workers_at_once_claim_every_job_once(sessions: Sessions, spec: JobSpec) -> None:
    for owner in ("ada", "bob"):
        submit(sessions, spec, owner, 20)
    made: list[str] = []

    def work() -> None:
        while (claim := claim_next(sessions)) is not None:
            made.append(claim.id)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == 40


def test_ten_thousand_jobs_of_one_owner_delay_nobody_else(
    sessions: Sessions, spec: JobSpec
) -> None:
    submit(sessions, spec, "ada")
    with sessions.begin() as session:
        # Ten thousand rows more, all but the key and the id alike.
        session.execute(
            text(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
                "INSERT INTO jobs (id, owner, spec, steps, created_at, updated_at) "
                "SELECT 'job_' || i, owner, spec, steps, created_at, updated_at FROM jobs, n"
            )
        )
    first = claim_next(sessions)
    assert first is not None
    assert first.owner == "ada"
    [id] = submit(sessions, spec, "bob")
    with sessions.begin() as session:
        began = time.monotonic()
        assert turns.next_id(session) == id
        assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("owner", ["ada", "'; DROP TABLE jobs; --", "é"])
def test_an_owner_may_have_any_name(sessions: Sessions, spec: JobSpec, owner: str) -> None:
    submit(sessions, spec, owner)
    assert drain(sessions) == [owner]
