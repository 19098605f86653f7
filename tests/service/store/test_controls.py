"""Cancel, pause and resume, in every state a job can be in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.common.errors import InvalidTransition, JobNotFound
from service.store import claims, controls, jobs
from service.store.claims import Claim
from service.store.controls import CANCEL, PAUSE, RESUME, Standing
from service.store.states import TERMINAL, TRANSITIONS
from tests.service.lifecycle import LEASE, finish, job, kinds

Sessions = sessionmaker[Session]

REQUESTS = {
    "cancel": controls.request_cancel,
    "pause": controls.request_pause,
    "resume": controls.request_resume,
}


@pytest.fixture
def bring_to(
    sessions: Sessions, submit: Callable[[], str], claim: Callable[..., Claim], spec: JobSpec
) -> Callable[[str], str]:
    """Brings a new job into the shown state and returns its id."""

    def bring_to(state: str) -> str:
        if state in ("queued", "paused", "cancelled"):
            id = submit()
        else:
            held = claim()
            id = held.id
            if state == "succeeded":
                finish(sessions, held, spec)
            elif state == "failed":
                with sessions.begin() as session:
                    claims.fail(session, held, code="internal", detail="x")
        with sessions.begin() as session:
            if state in ("paused", "pausing"):
                controls.request_pause(session, id)
            elif state in ("cancelled", "cancelling"):
                controls.request_cancel(session, id)
        assert jobs.shown_state(job(sessions, id)) == state
        return id

    return bring_to


@pytest.mark.parametrize(
    ("request_name", "before", "after"),
    [
        ("cancel", "queued", "cancelled"),
        ("cancel", "paused", "cancelled"),
        ("cancel", "running", "cancelling"),
        ("cancel", "pausing", "cancelling"),
        ("pause", "queued", "paused"),
        ("pause", "running", "pausing"),
        ("resume", "paused", "queued"),
        ("resume", "pausing", "running"),
    ],
)
def test_what_is_asked_is_done_and_written_down(
    sessions: Sessions, bring_to: Callable[[str], str], request_name: str, before: str, after: str
) -> None:
    id = bring_to(before)
    events = len(kinds(sessions, id))
    with sessions.begin() as session:
        answer = REQUESTS[request_name](session, id)
        assert (jobs.shown_state(answer.job), answer.changed) == (after, True)
    found = job(sessions, id)
    assert jobs.shown_state(found) == after
    assert (found.finished_at is not None) == (after == "cancelled")
    assert len(kinds(sessions, id)) == events + 1


@pytest.mark.parametrize(
    ("request_name", "state"),
    [
        ("cancel", "cancelling"),
        ("cancel", "cancelled"),
        ("pause", "pausing"),
        ("pause", "paused"),
        ("resume", "queued"),
        ("resume", "running"),
    ],
)
def test_asking_again_changes_nothing(
    sessions: Sessions, bring_to: Callable[[str], str], request_name: str, state: str
) -> None:
    id = bring_to(state)
    before = kinds(sessions, id)
    with sessions.begin() as session:
        answer = REQUESTS[request_name](session, id)
        assert (jobs.shown_state(answer.job), answer.changed) == (state, False)
    assert kinds(sessions, id) == before


@pytest.mark.parametrize(
    ("request_name", "state"),
    [
        ("cancel", "succeeded"),
        ("cancel", "failed"),
        ("pause", "cancelling"),
        ("pause", "succeeded"),
        ("pause", "failed"),
        ("pause", "cancelled"),
        ("resume", "cancelling"),
        ("resume", "succeeded"),
        ("resume", "failed"),
        ("resume", "cancelled"),
    ],
)
def test_what_comes_too_late_is_refused(
    sessions: Sessions, bring_to: Callable[[str], str], request_name: str, state: str
) -> None:
    id = bring_to(state)
    with pytest.raises(InvalidTransition, match=f"is {state}"), sessions.begin() as session:
        REQUESTS[request_name](session, id)
    assert jobs.shown_state(job(sessions, id)) == state


@pytest.mark.parametrize("request_name", REQUESTS)
def test_nothing_can_be_asked_of_an_unknown_job(sessions: Sessions, request_name: str) -> None:
    with pytest.raises(JobNotFound), sessions.begin() as session:
        REQUESTS[request_name](session, "job_" + "0" * 24)


def test_a_cancelled_or_paused_job_is_not_claimed(
    sessions: Sessions, bring_to: Callable[[str], str]
) -> None:
    for state in ("paused", "cancelled"):
        id = bring_to(state)
        with sessions.begin() as session:
            assert claims.claim(session, id, worker="w", lease_seconds=LEASE) is None


def test_a_cancel_that_races_the_end_is_accepted_or_refused_never_both(
    sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    for _ in range(10):
        held = claim()
        ends: list[str] = []
        barrier = threading.Barrier(2)

        def end(held: Claim = held, ends: list[str] = ends, barrier: Any = barrier) -> None:
            barrier.wait()
            ends.append(finish(sessions, held, spec))

        thread = threading.Thread(target=end)
        thread.start()
        barrier.wait()
        try:
            with sessions.begin() as session:
                controls.request_cancel(session, held.id)
            accepted = True
        except InvalidTransition:
            accepted = False
        thread.join()
        assert ends == ["cancelled" if accepted else "succeeded"]
        assert job(sessions, held.id).state == ends[0]


def test_requests_follow_the_table_of_transitions() -> None:
    for rules in (CANCEL, PAUSE, RESUME):
        for standing, change in rules.items():
            if change and change.to.state != standing.state:
                assert change.to.state in TRANSITIONS[standing.state]
    changing = {s for rules in (CANCEL, PAUSE, RESUME) for s, change in rules.items() if change}
    assert not {standing.state for standing in changing} & TERMINAL
    assert Standing("running", "cancelled") not in changing
