"""Everybody sees only their own, and learns nothing of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from service.api.app import create_app
from service.common.settings import Settings
from service.store import api_keys, claims, jobs
from service.store.connections import make_engine, make_sessions
from service.store.database import Database
from service.store.owners import Owner
from service.store.tables import Job
from tests.service.api.test_auth import SPEC, bearer, make_key

UNKNOWN = f"job_{'0' * 24}"


class Person:
    """Somebody with a key."""

    def __init__(self, client: FlaskClient, settings: Settings, name: str) -> None:
        self.name = name
        self._client = client
        self._headers = bearer(make_key(settings, name))

    def send(self, method: str, path: str, **request: Any) -> TestResponse:
        headers = self._headers | request.pop("headers", {})
        return self._client.open(path, method=method, headers=headers, **request)

    def submit(self, name: str | None = None, **headers: str) -> str:
        answer = self.send("POST", "/v1/jobs", json=SPEC | {"name": name}, headers=headers)
        assert answer.status_code == 201, answer.json
        id: str = answer.json["id"]
        return id

    def listed(self, query: str = "") -> list[str]:
        return [job["id"] for job in self.send("GET", f"/v1/jobs{query}").json["items"]]


@pytest.fixture
def people(settings: Settings) -> Iterator[tuple[Person, Person]]:
    settings = replace(settings, auth="keys")
    app = create_app(settings)
    client = app.test_client()
    yield Person(client, settings, "ada"), Person(client, settings, "bob")
    app.extensions["gradserve"].close()


def ways_to_a_job() -> list[tuple[str, str]]:
    app = create_app(Settings(auth="off"))
    return sorted(
        (method, rule.rule.replace("<string:id>", "{id}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1/jobs/<string:id>")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


@pytest.mark.parametrize(("method", "path"), ways_to_a_job())
def test_the_job_of_another_answers_as_an_unknown_one_does(
    people: tuple[Person, Person], method: str, path: str
) -> None:
    ada, bob = people
    id = ada.submit()
    others = bob.send(method, path.format(id=id))
    unknown = bob.send(method, path.format(id=UNKNOWN))
    assert others.status_code == unknown.status_code == 404
    assert others.data == unknown.data.replace(UNKNOWN.encode(), id.encode())
    differ = {"X-Request-Id", "Date", "Content-Length", "RateLimit"}
    assert [h for h in others.headers if h[0] not in differ] == [
        h for h in unknown.headers if h[0] not in differ
    ]
    assert ada.send("GET", f"/v1/jobs/{id}").json["state"] == "queued"


def test_lists_and_their_pages_hold_only_ones_own(people: tuple[Person, Person]) -> None:
    ada, bob = people
    own: dict[str, list[str]] = {"ada": [], "bob": []}
    for i in range(4):
        for person in people:
            own[person.name].insert(0, person.submit(name=f"number {i % 2}"))
    for person in people:
        assert person.listed() == person.listed("?state=queued") == own[person.name]
        assert person.listed("?name=number%200") == own[person.name][1::2]
        page = person.send("GET", "/v1/jobs?limit=3").json
        rest = person.send("GET", f"/v1/jobs?limit=3&cursor={page['next_cursor']}").json
        assert [job["id"] for job in page["items"] + rest["items"]] == own[person.name]
    foreign = ada.send("GET", "/v1/jobs?limit=3").json["next_cursor"]
    assert set(bob.listed(f"?cursor={foreign}")) <= set(own["bob"])


def test_a_parent_is_ones_own(people: tuple[Person, Person]) -> None:
    ada, bob = people
    id = ada.submit()
    spec = SPEC | {"parent_id": id}
    refused = bob.send("POST", "/v1/jobs", json=spec)
    unknown = bob.send("POST", "/v1/jobs", json=SPEC | {"parent_id": UNKNOWN})
    assert refused.status_code == unknown.status_code == 422
    assert refused.data == unknown.data.replace(UNKNOWN.encode(), id.encode())
    assert bob.send("POST", "/v1/jobs?validate_only=true", json=spec).status_code == 422
    assert ada.send("POST", "/v1/jobs", json=spec).status_code == 201


def test_an_idempotency_key_is_ones_own(people: tuple[Person, Person]) -> None:
    key = {"Idempotency-Key": "monday"}
    first = {person.name: person.submit(**key) for person in people}
    again = {person.name: person.submit(**key) for person in people}
    assert first == again
    assert first["ada"] != first["bob"]


def test_events_are_numbered_within_a_job_and_name_no_machine(
    people: tuple[Person, Person],
) -> None:
    ada, bob = people
    ada.submit()
    id = bob.submit()
    for action in ("pause", "resume", "cancel"):
        assert bob.send("POST", f"/v1/jobs/{id}/{action}").status_code == 200
    events = bob.send("GET", f"/v1/jobs/{id}/events").json["items"]
    assert [event["id"] for event in events] == [1, 2, 3, 4]
    later = bob.send("GET", f"/v1/jobs/{id}/events?after=2").json["items"]
    assert later == events[2:]


def test_what_one_does_reads_the_same_beside_another_and_alone(settings: Settings) -> None:
    """The same requests, once with another person's in between, once without."""

    def answers(other: bool) -> str:
        locked = replace(settings, auth="keys")
        app = create_app(locked)
        client = app.test_client()
        name = "ada" if other else "eve"
        me, somebody = Person(client, locked, name), Person(client, locked, f"not {name}")
        texts = []

        def look(answer: TestResponse) -> None:
            if other:
                id = somebody.submit("the same name", **{"Idempotency-Key": "k1"})
                somebody.send("POST", f"/v1/jobs/{id}/cancel")
            texts.append(answer.get_data(as_text=True))

        ids = []
        for i in range(3):
            answer = me.send(
                "POST",
                "/v1/jobs",
                json=SPEC | {"name": "the same name"},
                headers={"Idempotency-Key": f"k{i}"},
            )
            ids.append(answer.json["id"])
            look(answer)
        look(me.send("POST", f"/v1/jobs/{ids[1]}/pause"))
        for path in ("", "?name=the%20same%20name", "?state=queued", "?limit=1"):
            look(me.send("GET", f"/v1/jobs{path}"))
        for id in ids:
            look(me.send("GET", f"/v1/jobs/{id}/events"))
        app.extensions["gradserve"].close()
        joined = "\n".join(texts)
        for i, id in enumerate(ids):
            joined = joined.replace(id, f"job {i}")
        joined = re.sub(r'"next_cursor":"[^"]*"', '"next_cursor":"…"', joined)
        return re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"a time"', joined)

    assert answers(other=True) == answers(other=False)


def test_a_session_of_one_owner_cannot_reach_another_by_orm(settings: Settings, spec: Any) -> None:
    database = Database(settings, "api", print)
    with database.write(Owner("ada")) as session:
        id = jobs.create(session, spec).id
    with database.write(Owner("bob")) as session:
        assert session.query(Job).count() == 0
        assert session.query(Job).filter_by(id=id).update({"name": "mine"}) == 0
        assert session.query(Job).filter_by(id=id).delete() == 0
        with pytest.raises(jobs.JobNotFound):
            jobs.key(session, id)
    with database.read(Owner("ada")) as session:
        assert jobs.get(session, id).name == spec.name
    database.engine.dispose()


def test_every_job_of_before_belongs_to_local(settings: Settings, spec: Any) -> None:
    engine = make_engine(settings, "migrate")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO jobs (id, spec, steps, created_at, updated_at) "
                "VALUES (:id, :spec, 5, 0, 0)"
            ),
            {"id": UNKNOWN, "spec": json.dumps(SPEC)},
        )
    engine.dispose()
    app = create_app(settings)
    assert app.test_client().get("/v1/jobs").json["items"][0]["id"] == UNKNOWN
    app.extensions["gradserve"].close()


def test_scopes_are_words_that_the_service_knows() -> None:
    assert api_keys.SCOPES == ("read", "write", "admin")


def test_events_name_workers_without_their_hosts(settings: Settings, spec: Any) -> None:
    engine = make_engine(settings, "worker")
    with make_sessions(engine).begin() as session:
        id = jobs.create(session, spec).id
        assert claims.claim(session, id, worker="secret.host:42", lease_seconds=20)
        lost = "attempt 1 by secret.host:42 was not heard of any more"
        session.execute(text("UPDATE events SET detail = :lost"), {"lost": lost})
    engine.dispose()
    app = create_app(settings)
    answer = app.test_client().get(f"/v1/jobs/{id}/events")
    app.extensions["gradserve"].close()
    claimed = answer.json["items"][1]
    assert re.fullmatch("worker-[0-9a-f]{8}", claimed["actor"])
    assert claimed["detail"] == "attempt 1 stopped renewing its lease"
    assert "secret" not in answer.get_data(as_text=True)
