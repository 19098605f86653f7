"""Recovery frees what its worker left, and publishes again what nobody claimed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.store import claims, controls, events, jobs, recovery
from tests.service.lifecycle import advance, at, job, kinds

Sessions = sessionmaker[Session]

LEASE = 20.0
REPUBLISH = 15.0


@pytest.fixture
def claimed_at(sessions: Sessions, spec: JobSpec) -> Callable[..., claims.Claim]:
    """Claims a job at a time: the one with the given id, or else a new one."""

    def claimed_at(seconds: float, id: str | None = None) -> claims.Claim:
        with sessions.begin() as session:
            id = id or jobs.create(session, spec, now=at(seconds)).id
            made = claims.claim(session, id, worker="w1", lease_seconds=LEASE, now=at(seconds))
        assert made is not None
        return made

    return claimed_at


def free(sessions: Sessions, seconds: float) -> list[str]:
    with sessions.begin() as session:
        return recovery.free_lost_leases(session, lease_seconds=LEASE, now=at(seconds))


def publish_again(sessions: Sessions, seconds: float, limit: int = 100) -> list[str]:
    with sessions.begin() as session:
        return recovery.publish_again(
            session, republish_seconds=REPUBLISH, limit=limit, now=at(seconds)
        )


def test_a_lease_that_lasts_is_left_alone(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    held = claimed_at(100)
    assert free(sessions, 119.9) == []
    assert job(sessions, held.id).state == "running"


def test_a_lease_that_ran_out_puts_the_job_back_with_a_message_at_once(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    held = claimed_at(100)
    assert free(sessions, 120.1) == [held.id]
    found = job(sessions, held.id)
    assert (found.state, found.lease_until, found.attempt) == ("queued", None, 1)
    assert free(sessions, 120.1) == []
    assert publish_again(sessions, 120.2) == [held.id]
    with sessions.begin() as session:
        last = events.of_job(session, held.pk)[-1]
    assert (last.kind, last.actor, last.from_state, last.to_state, last.at) == (
        "lease_lost",
        "recovery",
        "running",
        "queued",
        120.1,
    )
    assert last.detail == "attempt 1 stopped renewing its lease"


@pytest.mark.parametrize(
    ("asked", "state"),
    [(controls.request_pause, "paused"), (controls.request_cancel, "cancelled")],
)
def test_a_lost_lease_leads_to_the_requested_state(
    sessions: Sessions,
    claimed_at: Callable[..., claims.Claim],
    asked: Callable[[Session, str], object],
    state: str,
) -> None:
    held = claimed_at(100)
    with sessions.begin() as session:
        asked(session, held.id)
    assert free(sessions, 121) == [held.id]
    found = job(sessions, held.id)
    assert (found.state, found.desired_state) == (state, None)
    assert (found.finished_at is not None) == (state == "cancelled")


def test_a_clock_that_was_set_back_cannot_hold_a_job(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    held = claimed_at(10_000)
    assert free(sessions, 9_997) == []  # time servers set clocks back this much
    assert free(sessions, 10_000 - 3600) == [held.id]
    assert publish_again(sessions, 10_000 - 3600) == [held.id]


def test_a_job_that_kills_its_workers_fails_after_three(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    id = claimed_at(100).id
    assert free(sessions, 200) == [id]
    claimed_at(300, id)
    assert free(sessions, 400) == [id]
    claimed_at(500, id)
    assert free(sessions, 600) == [id]
    found = job(sessions, id)
    assert (found.state, found.error_code, found.finished_at) == ("failed", "worker_lost", 600)
    assert "3 times" in str(found.error_detail)
    assert kinds(sessions, id).count("lease_lost") == 3


def test_a_job_that_gets_on_between_losses_is_not_given_up(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    held = claimed_at(100)
    for i in range(4):
        advance(sessions, held, i, i + 1, now=at(100 + i * 100))
        assert free(sessions, 190 + i * 100) == [held.id]
        held = claimed_at(195 + i * 100, held.id)
    found = job(sessions, held.id)
    assert (found.state, found.attempt, found.step) == ("running", 5, 4)


def test_progress_without_a_checkpoint_does_not_count(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    held = claimed_at(100)
    advance(sessions, held, 0, 1, checkpoint=None, now=at(101))
    assert job(sessions, held.id).fruitless_claims == 1


def test_a_drain_does_not_count_against_the_job(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    held = claimed_at(100)
    for i in range(5):
        with sessions.begin() as session:
            assert claims.release(session, held, now=at(101 + i)) == "queued"
        held = claimed_at(102 + i, held.id)
    assert free(sessions, 200) == [held.id]
    assert job(sessions, held.id).state == "queued"


def test_a_message_is_published_again_once_per_period_oldest_first(
    sessions: Sessions, spec: JobSpec
) -> None:
    with sessions.begin() as session:
        ids = [jobs.create(session, spec, now=at(100 + i)).id for i in range(3)]
    assert publish_again(sessions, 114) == []
    assert publish_again(sessions, 116.5) == ids[:2]
    assert publish_again(sessions, 120) == ids[2:]
    assert publish_again(sessions, 131) == []
    assert publish_again(sessions, 140, limit=2) == ids[:2]


def test_only_messages_of_queued_jobs_are_published_again(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim], submit: Callable[[], str]
) -> None:
    claimed_at(100)
    paused = submit()
    with sessions.begin() as session:
        controls.request_pause(session, paused)
    assert publish_again(sessions, 4e9) == []


def test_a_resumed_job_counts_as_published(sessions: Sessions, spec: JobSpec) -> None:
    with sessions.begin() as session:
        id = jobs.create(session, spec, now=at(100)).id
        controls.request_pause(session, id, now=at(101))
        controls.request_resume(session, id, now=at(200))
    assert publish_again(sessions, 214) == []
    assert publish_again(sessions, 216) == [id]


def test_two_at_once_do_no_harm(sessions: Sessions, spec: JobSpec) -> None:
    with sessions.begin() as session:
        made = [jobs.create(session, spec, now=at(100)).id for _ in range(30)]
        for id in made[:15]:
            claims.claim(session, id, worker="w", lease_seconds=LEASE, now=at(100))
    freed: list[str] = []
    published: list[str] = []

    def look() -> None:
        for _ in range(10):
            freed.extend(free(sessions, 200))
            published.extend(publish_again(sessions, 200))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(freed) == sorted(made[:15])
    assert sorted(published) == sorted(made)
    with sessions.begin() as session:
        lost = session.execute(text("SELECT count(*) FROM events WHERE kind = 'lease_lost'"))
        assert lost.scalar_one() == 15


def test_one_pass_frees_no_more_than_it_is_told(
    sessions: Sessions, claimed_at: Callable[..., claims.Claim]
) -> None:
    ids = [claimed_at(100).id for _ in range(3)]
    with sessions.begin() as session:
        assert (
            recovery.free_lost_leases(session, lease_seconds=LEASE, limit=2, now=at(200)) == ids[:2]
        )
