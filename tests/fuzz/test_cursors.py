"""Pages hold each of an owner's jobs once, whatever the times, the limits and the cursors are."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.spec import JobSpec
from service.api.app import create_app
from service.common.errors import InvalidCursor
from service.common.settings import Settings
from service.store import controls, deletion, jobs
from service.store.database import Database
from service.store.owners import Owner
from tests.engine.specs import SMALL
from tests.fuzz.conftest import EXAMPLES
from tests.service.lifecycle import at

SPEC = JobSpec.model_validate(SMALL)
search = settings(max_examples=EXAMPLES or 25, deadline=None)
numbers = itertools.count()


@pytest.fixture(scope="module")
def stored(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("cursors"))
    return Settings(database_url=f"sqlite:///{path}", broker_url="redis://127.0.0.1:1", auth="off")


@pytest.fixture(scope="module")
def database(stored: Settings) -> Iterator[Database]:
    found = Database(stored, "api", lambda id: None)
    yield found
    found.engine.dispose()


@pytest.fixture(scope="module")
def sender(stored: Settings) -> Iterator[FlaskClient]:
    app = create_app(stored)
    client = app.test_client()
    assert client.post("/v1/jobs", json=SMALL).status_code == 201
    yield client
    app.extensions["gradserve"].close()


@search
@given(
    # Few different times: many jobs are made in the same instant.
    made=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=25),
    limit=st.integers(1, 7),
    deleted=st.sets(st.integers(0, 5)),
)
def test_pages_hold_each_job_of_the_owner_once(
    database: Database, made: list[tuple[bool, int]], limit: int, deleted: set[int]
) -> None:
    number = next(numbers)
    owner, other = Owner(f"owner-{number}"), Owner(f"other-{number}")
    mine = []
    for own, time in made:
        with database.write(owner if own else other) as session:
            id = jobs.create(session, SPEC, now=at(1e9 + number + time / 4)).id
        if own:
            mine.append((time, len(mine), id))
    expected = [id for _, _, id in sorted(mine, reverse=True)]
    seen: list[str] = []
    cursor = None
    for turn in itertools.count():
        with database.read(owner) as session:
            page = jobs.page(session, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        if turn in deleted:  # where the next page begins; its neighbours may be shown again
            with database.write(owner) as session:
                controls.request_cancel(session, seen[-1])
                deletion.delete_job(session, seen[-1])
    assert list(dict.fromkeys(seen)) == expected
    assert deleted or len(seen) == len(expected)


@search
@given(
    cursor=st.text(max_size=80)
    | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=", max_size=90)
)
def test_any_text_is_a_cursor_or_is_refused(sender: FlaskClient, cursor: str) -> None:
    answer = sender.get("/v1/jobs", query_string={"cursor": cursor})
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        assert [error["pointer"] for error in answer.json["errors"]] == ["/cursor"]


@search
@given(place=st.integers(0, 200), character=st.characters(codec="ascii"))
def test_a_cursor_that_was_changed_shows_nobody_elses_jobs(
    database: Database, place: int, character: str
) -> None:
    owner = Owner(f"owner-{next(numbers)}")
    with database.write(owner) as session:
        own = {jobs.create(session, SPEC).id for _ in range(2)}
        cursor = jobs.page(session, limit=1).next_cursor
    assert cursor is not None
    place %= len(cursor)
    changed = cursor[:place] + character + cursor[place + 1 :]
    with database.read(owner) as session:
        try:
            found = jobs.page(session, limit=100, cursor=changed).items
        except InvalidCursor:
            return
    assert {job.id for job in found} <= own
