"""Storing, finding and listing jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.common.errors import InvalidCursor, JobNotFound
from service.store import controls, jobs
from service.store.claims import Claim
from tests.service.lifecycle import job, kinds

Sessions = sessionmaker[Session]


def test_a_new_job_is_queued_and_keeps_its_whole_specification(
    sessions: Sessions, spec: JobSpec
) -> None:
    with sessions.begin() as session:
        made = jobs.create(session, spec)
    found = job(sessions, made.id)
    assert found.state == "queued"
    assert found.steps == 10
    assert found.step == found.attempt == found.fence == 0
    assert found.created_at == found.published_at
    assert JobSpec.model_validate_json(found.spec) == spec
    assert kinds(sessions, made.id) == ["created"]


def test_nothing_is_stored_when_the_callers_transaction_fails(
    sessions: Sessions, spec: JobSpec
) -> None:
    with sessions() as session:
        id = jobs.create(session, spec).id
        session.rollback()
    with pytest.raises(JobNotFound):
        job(sessions, id)


@pytest.mark.parametrize("id", ["job_" + "0" * 24, "", "job_", "1", "\x00", "\ud800", "job_é"])
def test_no_other_text_finds_a_job(sessions: Sessions, id: str) -> None:
    with pytest.raises(JobNotFound):
        job(sessions, id)


def test_a_job_may_have_a_parent_that_exists(sessions: Sessions, spec: JobSpec) -> None:
    with sessions.begin() as session:
        parent = jobs.create(session, spec)
        child = jobs.create(session, spec, parent_id=parent.id)
    assert job(sessions, child.id).parent_id == parent.id
    with pytest.raises(JobNotFound), sessions.begin() as session:
        jobs.create(session, spec, parent_id="job_" + "0" * 24)


def test_pages_follow_one_another_newest_first(
    sessions: Sessions, submit: Callable[[], str]
) -> None:
    made = [submit() for _ in range(5)]
    seen: list[list[str]] = []
    cursor = None
    with sessions.begin() as session:
        while not seen or cursor:
            page = jobs.page(session, limit=2, cursor=cursor)
            seen.append([item.id for item in page.items])
            cursor = page.next_cursor
    assert seen == [made[4:2:-1], made[2:0:-1], made[:1]]


def test_jobs_that_come_meanwhile_do_not_shift_the_pages(
    sessions: Sessions, submit: Callable[[], str]
) -> None:
    made = [submit() for _ in range(4)]
    with sessions.begin() as session:
        first = jobs.page(session, limit=2)
    submit()
    with sessions.begin() as session:
        second = jobs.page(session, limit=2, cursor=first.next_cursor)
    assert [item.id for item in second.items] == made[1::-1]
    assert second.next_cursor is None


def test_filters_apply_before_the_page_is_cut(
    sessions: Sessions, spec: JobSpec, submit: Callable[[], str]
) -> None:
    with sessions.begin() as session:
        wanted = jobs.create(session, spec.model_copy(update={"name": "wanted"})).id
    for _ in range(3):
        submit()
    with sessions.begin() as session:
        controls.request_cancel(session, wanted)
    with sessions.begin() as session:
        for filters in ({"name": "wanted"}, {"state": "cancelled"}):
            page = jobs.page(session, limit=1, **filters)  # type: ignore[arg-type]
            assert [item.id for item in page.items] == [wanted]
            assert page.next_cursor is None
        assert jobs.page(session, limit=9, name="wanted", state="queued").items == []


def test_a_running_job_is_listed_by_what_it_is_about_to_become(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()

    def shown() -> dict[str, list[str]]:
        with sessions.begin() as session:
            pages = {
                state: jobs.page(session, limit=9, state=state).items  # type: ignore[arg-type]
                for state in ("running", "pausing", "cancelling")
            }
        return {state: [item.id for item in items] for state, items in pages.items() if items}

    assert shown() == {"running": [held.id]}
    with sessions.begin() as session:
        controls.request_pause(session, held.id)
    assert shown() == {"pausing": [held.id]}
    with sessions.begin() as session:
        controls.request_cancel(session, held.id)
    assert shown() == {"cancelling": [held.id]}


@pytest.mark.parametrize("cursor", ["", "x", "am9icw", "é", "am9icyBiZWZvcmUgLTE", "1"])
def test_only_cursors_that_a_page_gave_are_taken(sessions: Sessions, cursor: str) -> None:
    with pytest.raises(InvalidCursor), sessions.begin() as session:
        jobs.page(session, limit=1, cursor=cursor)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'pausing'",
        "desired_state = 'paused'",
        "state = 'failed'",
        "error_code = 'diverged'",
        "state = 'running'",
        "lease_until = 1",
        "step = 11",
    ],
)
def test_the_database_itself_refuses_jobs_that_make_no_sense(
    sessions: Sessions, submit: Callable[[], str], change: str
) -> None:
    submit()
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.execute(text(f"UPDATE jobs SET {change}"))
