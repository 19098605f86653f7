"""A worker owns a job by its fence, and only until another worker claims the job."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.common.errors import LeaseLost, ParametersNotFound
from service.store import (
    checkpoints,
    claims,
    controls,
    jobs,
    parameters,
    recovery,
)
from service.store.claims import Claim
from tests.service.lifecycle import LEASE, advance, at, finish, job, kinds, rows, steps

Sessions = sessionmaker[Session]


def test_a_queued_job_is_claimed_once(
    sessions: Sessions, submit: Callable[[], str], spec: JobSpec
) -> None:
    id = submit()
    with sessions.begin() as session:
        first = claims.claim(session, id, worker="w1", lease_seconds=LEASE)
    with sessions.begin() as session:
        second = claims.claim(session, id, worker="w2", lease_seconds=LEASE)
    assert first is not None
    assert second is None
    assert (first.id, first.fence, first.attempt, first.step) == (id, 1, 1, 0)
    assert JobSpec.model_validate_json(first.spec) == spec
    found = job(sessions, id)
    assert (found.state, found.worker) == ("running", "w1")
    assert found.lease_until == pytest.approx(found.started_at + LEASE, abs=0.5)
    assert kinds(sessions, id) == ["created", "claimed"]


def test_a_hundred_messages_make_one_claim(sessions: Sessions, submit: Callable[[], str]) -> None:
    id = submit()
    made: list[Claim | None] = []

    def try_to_claim() -> None:
        for _ in range(25):
            with sessions.begin() as session:
                made.append(claims.claim(session, id, worker="w", lease_seconds=LEASE))

    threads = [threading.Thread(target=try_to_claim) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 50
    assert len([claim for claim in made if claim]) == 1


def test_an_unknown_job_cannot_be_claimed(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert claims.claim(session, "job_0", worker="w", lease_seconds=LEASE) is None


def test_progress_moves_the_job_its_history_and_its_checkpoint_together(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim(lease=1.0)
    assert advance(sessions, held, 0, 4) is None
    found = job(sessions, held.id)
    assert (found.step, found.loss, found.accuracy) == (4, 0.25, 0.5)
    assert found.trained_seconds == 0.5
    assert found.lease_until > found.updated_at + LEASE - 1
    assert steps(sessions, held.id) == [0, 1, 2, 3]
    with sessions.begin() as session:
        newest = next(checkpoints.newest_first(session, held.pk))
    assert (newest.step, newest.data, newest.intact) == (4, b"state 4", True)


def test_progress_without_a_logged_step_keeps_the_newest_numbers(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    advance(sessions, held, 0, 4)
    advance(sessions, held, 4, 6, rows=[])
    found = job(sessions, held.id)
    assert (found.step, found.loss, found.trained_seconds) == (6, 0.25, 1.0)


def test_a_step_cannot_be_recorded_twice(sessions: Sessions, claim: Callable[..., Claim]) -> None:
    held = claim()
    advance(sessions, held, 0, 4)
    with pytest.raises(LeaseLost):
        advance(sessions, held, 0, 4)
    with pytest.raises(IntegrityError):
        advance(sessions, held, 4, 6, rows=rows(3, 6))
    assert steps(sessions, held.id) == [0, 1, 2, 3]
    assert job(sessions, held.id).step == 4


def test_whoever_lost_the_job_changes_nothing(
    sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    lost = claim(worker="sleeper", lease=-1)
    with sessions.begin() as session:
        assert recovery.free_lost_leases(session, lease_seconds=LEASE) == [lost.id]
    packed = parameters.pack([1, 1], np.zeros(2))
    attempts: list[Callable[[Session], object]] = [
        lambda session: claims.record_progress(
            session,
            lost,
            step=2,
            previous_step=0,
            rows=rows(0, 2),
            seconds=1,
            lease_seconds=LEASE,
            checkpoint=b"late",
        ),
        lambda session: claims.renew_lease(session, lost, lease_seconds=LEASE),
        lambda session: claims.desired_state(session, lost),
        lambda session: claims.succeed(session, lost, step=0, packed=packed),
        lambda session: claims.fail(session, lost, code="internal", detail="late"),
        lambda session: claims.release(session, lost),
    ]

    def all_fail() -> None:
        for attempt in attempts:
            with pytest.raises(LeaseLost), sessions.begin() as session:
                attempt(session)

    all_fail()
    assert job(sessions, lost.id).state == "queued"
    new = claim(lost.id, worker="w2")
    assert new.fence == 2
    all_fail()
    assert job(sessions, lost.id).worker == "w2"
    assert steps(sessions, lost.id) == []
    assert finish(sessions, new, spec) == "succeeded"
    all_fail()
    assert kinds(sessions, lost.id) == ["created", "claimed", "lease_lost", "claimed", "succeeded"]


def test_a_job_that_succeeds_has_its_parameters(
    sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    held = claim()
    with sessions.begin() as session, pytest.raises(ParametersNotFound, match="is running"):
        parameters.get(session, jobs.get(session, held.id))
    assert finish(sessions, held, spec) == "succeeded"
    found = job(sessions, held.id)
    assert (found.state, found.step, found.lease_until) == ("succeeded", 10, None)
    assert found.finished_at >= found.started_at >= found.created_at
    with sessions.begin() as session:
        assert parameters.get(session, found).step == 10


def test_success_counts_only_at_the_step_that_was_recorded(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    packed = parameters.pack([1, 1], np.zeros(2))
    with pytest.raises(LeaseLost), sessions.begin() as session:
        claims.succeed(session, held, step=3, packed=packed)


def test_a_job_that_fails_says_why_and_keeps_its_history(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    advance(sessions, held, 0, 4)
    with sessions.begin() as session:
        state = claims.fail(session, held, code="diverged", detail="loss is nan", step=4)
    assert state == "failed"
    found = job(sessions, held.id)
    assert (found.error_code, found.error_detail, found.error_step) == (
        "diverged",
        "loss is nan",
        4,
    )
    assert steps(sessions, held.id) == [0, 1, 2, 3]


def test_an_accepted_cancel_ends_cancelled_whatever_the_worker_does(
    sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    def cancelled(end: Callable[[Claim], object]) -> None:
        held = claim()
        with sessions.begin() as session:
            controls.request_cancel(session, held.id)
        assert end(held) == "cancelled"
        found = job(sessions, held.id)
        assert (found.state, found.error_code, found.desired_state) == ("cancelled", None, None)
        assert found.finished_at is not None
        assert kinds(sessions, held.id)[-2:] == ["cancel_requested", "cancelled"]
        with sessions.begin() as session, pytest.raises(ParametersNotFound):
            parameters.get(session, found)

    def fail(held: Claim) -> str:
        with sessions.begin() as session:
            return claims.fail(session, held, code="internal", detail="oops")

    def release(held: Claim) -> str:
        with sessions.begin() as session:
            return claims.release(session, held)

    cancelled(lambda held: finish(sessions, held, spec))
    cancelled(fail)
    cancelled(release)


def test_finishing_beats_pausing(
    sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    held = claim()
    with sessions.begin() as session:
        controls.request_pause(session, held.id)
    assert finish(sessions, held, spec) == "succeeded"


def test_the_worker_learns_of_a_requested_state_with_its_next_statement(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    with sessions.begin() as session:
        assert claims.desired_state(session, held) is None
    with sessions.begin() as session:
        controls.request_pause(session, held.id)
    assert advance(sessions, held, 0, 2) == "paused"
    with sessions.begin() as session:
        assert claims.renew_lease(session, held, lease_seconds=LEASE) == "paused"
        assert claims.desired_state(session, held) == "paused"


def test_an_orderly_release_is_not_an_attempt(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    with sessions.begin() as session:
        assert claims.release(session, held) == "queued"
    found = job(sessions, held.id)
    assert (found.state, found.attempt, found.fruitless_claims) == ("queued", 0, 0)
    assert found.published_at is None
    again = claim(held.id)
    assert (again.attempt, again.fence) == (1, 2)


def test_a_release_leads_to_the_requested_state(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    with sessions.begin() as session:
        controls.request_pause(session, held.id)
    with sessions.begin() as session:
        assert claims.release(session, held) == "paused"
    assert job(sessions, held.id).desired_state is None


def test_a_claim_resumes_where_the_last_one_stopped(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    advance(sessions, held, 0, 4)
    with sessions.begin() as session:
        claims.release(session, held)
    again = claim(held.id)
    assert (again.step, again.trained_seconds) == (4, 0.5)
    advance(sessions, again, 4, 8)
    assert steps(sessions, held.id) == list(range(8))


def test_times_are_those_of_the_clock_that_is_given(sessions: Sessions, spec: JobSpec) -> None:
    with sessions.begin() as session:
        id = jobs.create(session, spec, now=at(100)).id
        held = claims.claim(session, id, worker="w", lease_seconds=20, now=at(110))
        assert held is not None
        claims.renew_lease(session, held, lease_seconds=20, now=at(115))
    found = job(sessions, id)
    assert (found.created_at, found.started_at, found.lease_until) == (100, 110, 135)
    with sessions.begin() as session:
        times = session.execute(text("SELECT at FROM events ORDER BY pk")).scalars().all()
    assert times == [100, 110]
