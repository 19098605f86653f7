"""Data sets over HTTP: uploaded, looked at, paged through, named by jobs, deleted."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker
from typing_extensions import Buffer
from werkzeug.test import TestResponse

from service.api.app import create_app
from service.common.settings import Settings
from service.store.tables import Blob, Dataset, OwnerTotals
from tests.service.api.test_owners import Person

SHOP = "size;colour;new;price\n1,5;red;yes;10\n2,5;blue;no;20\n3,5;red;no;30\n"
FLOWERS = "long,wide,kind\n1,2,rose\n2,1,tulip\n3,4,rose\n4,3,lily\n"
UNKNOWN = f"ds_{'0' * 24}"


def upload(client: FlaskClient, text: str | bytes, query: str = "") -> TestResponse:
    return client.post(f"/v1/datasets{query}", data=text, content_type="text/csv")


def made(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 201, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.json  # type: ignore[assignment]
    return found


def errors(answer: TestResponse) -> list[dict[str, str]]:
    assert answer.status_code == 422, answer.get_data(as_text=True)
    assert answer.json is not None
    found: list[dict[str, str]] = answer.json["errors"]
    return found


def job(id: str, *, units: int = 1, loss: str = "mse", **dataset: Any) -> dict[str, Any]:
    return {
        "dataset": {"kind": "stored", "id": id} | dataset,
        "model": {"layers": [{"units": units}]},
        "loss": {"kind": loss},
        "optimizer": {"learning_rate": 0.01},
        "training": {"steps": 5},
    }


def stored_rows(sessions: sessionmaker[Session]) -> tuple[int, int]:
    """How many data sets and how many blobs there are, hidden ones included."""
    with sessions() as session:
        counts = [
            session.scalar(select(func.count()).select_from(table)) for table in (Dataset, Blob)
        ]
    return counts[0] or 0, counts[1] or 0


def test_an_upload_says_what_was_read_and_is_found_again(client: FlaskClient) -> None:
    answer = upload(client, "\ufeff" + SHOP, "?name=shop")
    shop = made(answer)
    assert answer.headers["Location"] == f"/v1/datasets/{shop['id']}" == shop["links"]["self"]
    assert (shop["name"], shop["kind"], shop["rows"]) == ("shop", "csv", 3)
    assert [(c["name"], c["type"], c["count"]) for c in shop["columns"]] == [
        ("size", "number", 3),
        ("colour", "text", 3),
        ("new", "boolean", 3),
    ]
    assert [shop["columns"][0][name] for name in ("min", "mean", "max")] == [1.5, 2.5, 3.5]
    assert shop["columns"][1]["categories"] == [
        {"name": "blue", "count": 1},
        {"name": "red", "count": 2},
    ]
    assert shop["target"]["name"] == "price"
    assert (shop["header"], shop["delimiter"], shop["decimal"]) == (True, ";", ",")
    assert "colour becomes 2 inputs" in shop["warnings"][0]
    assert client.get(shop["links"]["self"]).json == shop
    (listed,) = client.get("/v1/datasets").json["items"]
    assert listed.items() <= shop.items()
    assert "columns" not in listed


def test_query_parameters_say_how_to_read_a_table(client: FlaskClient) -> None:
    shop = made(upload(client, SHOP, "?target=size&ignore=new,3&missing=drop&delimiter=%3B"))
    assert shop["target"]["name"] == "size"
    assert [column["name"] for column in shop["columns"]] == ["colour"]
    assert shop["ignored"] == ["new", "price"]
    by_position = made(upload(client, SHOP, "?target=0"))
    assert by_position["target"]["name"] == "size"
    digits = made(upload(client, "2,1,label\n5,6,7\n8,9,1\n", "?target=2"))
    assert digits["target"]["name"] == "2", "a name comes before a position"
    assert [column["name"] for column in digits["columns"]] == ["1", "label"]
    gaps = made(upload(client, "a,b,y\n1,,3\n4,5,6\n7,8,9\n", "?missing=drop"))
    assert (gaps["rows"], gaps["dropped"]) == (2, 1)


def test_json_may_be_any_data_set(client: FlaskClient) -> None:
    moons = made(client.post("/v1/datasets", json={"kind": "moons", "n_samples": 30}))
    assert (moons["kind"], moons["rows"]) == ("moons", 30)
    assert [column["name"] for column in moons["columns"]] == ["x", "y"]
    assert [(c["name"], c["count"]) for c in moons["target"]["classes"]] == [("0", 15), ("1", 15)]
    rows = {"kind": "inline", "x": [[1.0], [2.0]], "y": [3.0, 4.0], "standardise": True}
    inline = made(client.post("/v1/datasets?name=two", json=rows))
    assert (inline["name"], inline["target"]["mean"]) == ("two", 3.5)
    csv = made(client.post("/v1/datasets", json={"kind": "csv", "text": FLOWERS}))
    assert [c["name"] for c in csv["target"]["classes"]] == ["lily", "rose", "tulip"]


def test_rows_come_back_as_people_gave_them(client: FlaskClient) -> None:
    id = made(upload(client, SHOP.replace("2,5;", ";"), "?missing=mean"))["id"]
    page = client.get(f"/v1/datasets/{id}/rows?limit=2").json
    assert page == {
        "items": [
            {"row": 0, "values": {"size": 1.5, "colour": "red", "new": True}, "target": 10.0},
            {"row": 1, "values": {"size": None, "colour": "blue", "new": False}, "target": 20.0},
        ],
        "next_after_row": 1,
    }
    last = client.get(f"/v1/datasets/{id}/rows?limit=2&after_row=1")
    assert [row["row"] for row in last.json["items"]] == [2]
    assert last.json["next_after_row"] is None
    assert "Link" not in last.headers
    assert client.get(f"/v1/datasets/{id}/rows?after_row=99").json["items"] == []
    text = client.get(f"/v1/datasets/{id}/rows?format=csv&limit=2")
    assert text.mimetype == "text/csv"
    assert text.get_data(as_text=True).splitlines() == [
        "size,colour,new,price",
        "1.5,red,True,10.0",
        ",blue,False,20.0",
    ]
    assert text.headers["Link"] == (
        f'</v1/datasets/{id}/rows?format=csv&limit=2&after_row=1>; rel="next"'
    )


def test_classes_are_given_back_by_name_and_csv_can_be_uploaded_again(client: FlaskClient) -> None:
    first = made(upload(client, FLOWERS))
    text = client.get(f"/v1/datasets/{first['id']}/rows?format=csv").data
    again = made(upload(client, text))
    assert again["columns"] == first["columns"]
    assert again["target"] == first["target"]


def test_lists_are_cut_into_pages(client: FlaskClient) -> None:
    ids = [made(upload(client, FLOWERS, f"?name=f{i % 2}"))["id"] for i in range(5)][::-1]
    first = client.get("/v1/datasets?limit=3").json
    rest = client.get(f"/v1/datasets?limit=3&cursor={first['next_cursor']}").json
    assert [d["id"] for d in first["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None
    assert [d["id"] for d in client.get("/v1/datasets?name=f0").json["items"]] == ids[::2]
    assert errors(client.get("/v1/datasets?cursor=x"))[0]["pointer"] == "/cursor"


def test_no_data_set_is_missed_where_that_of_the_cursor_is_deleted(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    ids = [made(upload(client, FLOWERS, f"?name=f{i}"))["id"] for i in range(4)][::-1]
    with sessions.begin() as session:  # all in the same instant
        session.execute(text("UPDATE datasets SET created_at = 1000000000.0"))
    first = client.get("/v1/datasets?limit=2").json
    assert client.delete(f"/v1/datasets/{ids[1]}").status_code == 204
    rest = client.get(f"/v1/datasets?limit=3&cursor={first['next_cursor']}").json
    assert {*ids[2:]} <= {found["id"] for found in rest["items"]}


@pytest.mark.parametrize(
    ("text", "query", "pointer", "words"),
    [
        ("", "", "", "empty"),
        ("a,b,y\n1,2\n3,4,5\n", "", "", "line 2"),
        ("a,b,y\n1,x,3\n4,5,6\n7,8,9\n", "", "", "column 2 (b)"),
        ("a,b,y\n1,nan,3\n4,5,6\n7,8,9\n", "", "", "missing"),
        (b"a,y\n1,\xff\n", "", "", "line 2 is not UTF-8"),
        (b"a,y\n1,\x00\n", "", "", "NUL"),
        (FLOWERS, "?target=height", "/target", "long, wide, kind"),
        (FLOWERS, "?target=7", "/target", "from 0 to 2"),
        (FLOWERS, "?ignore=height", "/ignore", "long, wide, kind"),
        (FLOWERS, "?missing=guess", "/missing", "refuse"),
        (FLOWERS, "?delimiter=x", "/delimiter", ";"),
        (FLOWERS, "?header=maybe", "/header", ""),
        (FLOWERS, "?name=", "/name", ""),
        (FLOWERS, "?name=a%00", "/name", ""),
        (FLOWERS, "?heading=true", "/heading", "header"),
        ("a,y\n" + "1,2\n" * 100_001, "", "", "100"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_place(
    client: FlaskClient,
    sessions: sessionmaker[Session],
    text: str | bytes,
    query: str,
    pointer: str,
    words: str,
) -> None:
    (error,) = errors(upload(client, text, query))
    assert error["pointer"] == pointer
    assert words in error["detail"]
    assert stored_rows(sessions) == (0, 0)


def test_json_that_is_not_a_data_set_is_refused_with_its_place(client: FlaskClient) -> None:
    for document, pointer in (
        ({"kind": "moon"}, ""),
        ({"kind": "moons", "noise": -1.0}, "/noise"),
        ({"kind": "inline", "x": [[1.0], [2.0, 3.0]], "y": [1.0, 2.0]}, "/x/1"),
        ({"kind": "csv", "text": "a,y\n1,2\n", "target": "b"}, "/target"),
        ({"kind": "moons", "features": ["z"]}, "/features/0"),
        ({"kind": "stored", "id": UNKNOWN}, "/kind"),
    ):
        found = errors(client.post("/v1/datasets", json=document))
        assert [error["pointer"] for error in found] == [pointer], document
    mixed = client.post("/v1/datasets?header=true", json={"kind": "moons"})
    assert errors(mixed)[0]["pointer"] == "/header"
    nan = '{"kind": "inline", "x": [[NaN], [1]], "y": [1, 2]}'
    answer = client.post("/v1/datasets", data=nan, content_type="application/json")
    assert answer.status_code in (400, 422)
    assert client.post("/v1/datasets", data=b"x", content_type="text/html").status_code == 415


def test_a_body_that_is_too_large_is_refused(settings: Settings) -> None:
    app = create_app(replace(settings, max_body_bytes=1000))
    assert upload(app.test_client(), FLOWERS * 100).status_code == 413
    app.extensions["gradserve"].close()


def test_data_sets_count_for_what_one_stores(
    settings: Settings, sessions: sessionmaker[Session]
) -> None:
    app = create_app(replace(settings, max_stored_bytes_per_owner=2_500))
    client = app.test_client()

    def total() -> int:
        with sessions() as session:
            return session.scalar(select(OwnerTotals.stored_bytes)) or 0

    first = made(upload(client, SHOP))
    assert total() == first["size"] > 1000
    second = made(upload(client, SHOP))
    refused = upload(client, SHOP)
    assert (refused.status_code, refused.json["title"]) == (507, "No room for more")
    assert "DELETE /v1/datasets/{id}" in refused.json["detail"]
    assert stored_rows(sessions) == (2, 1)
    assert total() == first["size"] + second["size"]
    for dataset in (first, second):
        assert client.delete(f"/v1/datasets/{dataset['id']}").status_code == 204
    assert total() == 0
    app.extensions["gradserve"].close()


def test_an_upload_that_breaks_off_stores_nothing(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: Buffer) -> int:
            if self.tell() > 0:
                raise ConnectionResetError
            self.seek(1)
            buffer[: len(FLOWERS)] = FLOWERS.encode()  # type: ignore[index]
            return len(FLOWERS)

    answer = client.post(
        "/v1/datasets",
        input_stream=io.BufferedReader(Broken()),  # type: ignore[arg-type]
        content_type="text/csv",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 400, answer.text
    assert "whole" in answer.json["detail"]
    assert stored_rows(sessions) == (0, 0)


def test_a_job_names_a_data_set_and_what_it_changes_of_it(client: FlaskClient) -> None:
    id = made(upload(client, SHOP))["id"]
    answer = client.post("/v1/jobs?validate_only=true", json=job(id, standardise=True))
    assert answer.status_code == 200, answer.json
    assert answer.json["spec"]["dataset"] == {
        "kind": "stored",
        "id": id,
        "features": None,
        "standardise": True,
        "standardise_targets": False,
        "target": None,
    }
    assert answer.json["parameters"] == 1 + 4, "size, two colours, new, and the bias"
    assert answer.json["dataset"]["target"]["name"] == "price"
    other = client.post("/v1/jobs?validate_only=true", json=job(id, target="size"))
    assert other.json["dataset"]["target"]["name"] == "size"
    submitted = client.post("/v1/jobs", json=job(id, features=["size", "size^2"]))
    assert submitted.status_code == 201
    assert submitted.json["spec"]["dataset"]["features"] == ["size", "size^2"]
    assert "text" not in submitted.json["spec"]["dataset"]


def test_a_job_has_what_the_data_set_was_stored_with(client: FlaskClient) -> None:
    rows = {"kind": "inline", "x": [[1.0], [2.0]], "y": [3.0, 4.0], "standardise": True}
    id = made(client.post("/v1/datasets", json=rows))["id"]
    as_stored = client.post("/v1/jobs?validate_only=true", json=job(id)).json["spec"]["dataset"]
    assert as_stored["standardise"] is True
    changed = client.post("/v1/jobs?validate_only=true", json=job(id, standardise=False))
    assert changed.json["spec"]["dataset"]["standardise"] is False


@pytest.mark.parametrize("validate_only", ["", "?validate_only=true"])
def test_a_data_set_that_does_not_fit_a_job_is_named_with_its_place(
    client: FlaskClient, validate_only: str
) -> None:
    id = made(upload(client, FLOWERS))["id"]
    moons = made(client.post("/v1/datasets", json={"kind": "moons"}))["id"]
    same = made(upload(client, "a,y\n1,2\n2,2\n"))["id"]
    for spec, pointer in (
        (job(UNKNOWN), "/dataset/id"),
        (job("no id"), "/dataset/id"),
        (job("ds_\0"), "/dataset/id"),
        (job(id, units=3, loss="cross_entropy", target="height"), "/dataset/target"),
        (job(id), "/dataset/target"),
        (job(id, units=3, loss="cross_entropy", features=["height"]), "/dataset/features/0"),
        (job(id, units=3, loss="cross_entropy", noise=0.1), "/dataset/noise"),
        (job(id, units=2, loss="cross_entropy"), "/model/layers/0/units"),
        (job(moons, units=2, loss="cross_entropy", target="x"), "/dataset/target"),
        (job(same, units=2, loss="cross_entropy"), "/dataset/id"),
    ):
        found = errors(client.post(f"/v1/jobs{validate_only}", json=spec))
        assert [error["pointer"] for error in found] == [pointer], spec


def test_a_job_that_repeats_its_key_is_the_same_job(client: FlaskClient) -> None:
    id = made(upload(client, SHOP))["id"]
    key = {"Idempotency-Key": "monday"}
    first, second = (client.post("/v1/jobs", json=job(id), headers=key).json for _ in range(2))
    assert first["id"] == second["id"]
    other = made(upload(client, SHOP.replace("10", "11")))["id"]
    assert client.post("/v1/jobs", json=job(other), headers=key).status_code == 422


def test_a_data_set_is_kept_while_a_job_needs_it(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    id = made(upload(client, SHOP))["id"]
    job_id = client.post("/v1/jobs", json=job(id)).json["id"]
    refused = client.delete(f"/v1/datasets/{id}")
    assert refused.status_code == 409
    assert job_id in refused.json["detail"]
    assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    assert client.delete(f"/v1/datasets/{id}").status_code == 204
    for method, path in (("GET", ""), ("GET", "/rows"), ("DELETE", "")):
        assert client.open(f"/v1/datasets/{id}{path}", method=method).status_code == 404
    assert client.get("/v1/datasets").json["items"] == []
    assert errors(client.post("/v1/jobs", json=job(id)))[0]["pointer"] == "/dataset/id"
    assert stored_rows(sessions) == (1, 1), "the cancelled job can still be replayed"
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert stored_rows(sessions) == (0, 0)


def test_equal_bytes_are_stored_once_and_go_with_the_last_that_has_them(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    first, second = made(upload(client, SHOP)), made(upload(client, SHOP, "?name=again"))
    assert first["id"] != second["id"]
    assert first["size"] == second["size"]
    assert stored_rows(sessions) == (2, 1)
    assert client.delete(f"/v1/datasets/{first['id']}").status_code == 204
    assert client.get(f"/v1/datasets/{second['id']}/rows").status_code == 200
    assert client.delete(f"/v1/datasets/{second['id']}").status_code == 204
    assert stored_rows(sessions) == (0, 0)


def test_the_same_bytes_come_and_go_at_the_same_time(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    app = client.application

    def come_and_go(number: int) -> set[int]:
        sender = app.test_client()
        statuses = set()
        for _ in range(5):
            id = made(upload(sender, SHOP))["id"]
            job_id = sender.post("/v1/jobs", json=job(id)).json["id"]
            statuses.add(sender.post(f"/v1/jobs/{job_id}/cancel").status_code)
            ends = [f"/v1/datasets/{id}", f"/v1/jobs/{job_id}"]
            for path in ends if number % 2 else ends[::-1]:
                statuses.add(sender.delete(path).status_code)
        return statuses

    with ThreadPoolExecutor(4) as threads:
        assert set().union(*threads.map(come_and_go, range(4))) == {200, 204}
    assert stored_rows(sessions) == (0, 0)


def test_the_last_job_and_its_data_set_are_deleted_at_the_same_time(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    app = client.application
    for _ in range(5):
        id = made(upload(client, SHOP))["id"]
        jobs = [client.post("/v1/jobs", json=job(id)).json["id"] for _ in range(2)]
        for job_id in jobs:
            client.post(f"/v1/jobs/{job_id}/cancel")
        paths = [f"/v1/datasets/{id}", *(f"/v1/jobs/{job_id}" for job_id in jobs)]
        with ThreadPoolExecutor(3) as threads:
            answers = threads.map(lambda path: app.test_client().delete(path), paths)
            assert {answer.status_code for answer in answers} == {204}
        assert stored_rows(sessions) == (0, 0)


def test_deleting_a_job_leaves_a_data_set_that_was_not_deleted(
    client: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    id = made(upload(client, SHOP))["id"]
    job_id = client.post("/v1/jobs", json=job(id)).json["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert client.get(f"/v1/datasets/{id}").status_code == 200


@pytest.fixture
def people(settings: Settings) -> Iterator[tuple[Person, Person]]:
    settings = replace(settings, auth="keys")
    app = create_app(settings)
    client = app.test_client()
    yield Person(client, settings, "ada"), Person(client, settings, "bob")
    app.extensions["gradserve"].close()


def ways_to_a_dataset() -> list[tuple[str, str]]:
    return sorted(
        (method, rule.rule.replace("<string:id>", "{id}"))
        for rule in create_app(Settings(auth="off")).url_map.iter_rules()
        if rule.rule.startswith("/v1/datasets/<string:id>")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def test_the_data_set_of_another_answers_as_an_unknown_one_does(
    people: tuple[Person, Person],
) -> None:
    ada, bob = people
    csv = {"Content-Type": "text/csv"}
    id = ada.send("POST", "/v1/datasets", data=SHOP, headers=csv).json["id"]
    differ = {"X-Request-Id", "Date", "Content-Length", "RateLimit"}
    ways = ways_to_a_dataset()
    assert len(ways) >= 3
    for method, path in ways:
        others = bob.send(method, path.format(id=id))
        unknown = bob.send(method, path.format(id=UNKNOWN))
        assert others.status_code == unknown.status_code == 404
        assert others.data == unknown.data.replace(UNKNOWN.encode(), id.encode())
        assert [h for h in others.headers if h[0] not in differ] == [
            h for h in unknown.headers if h[0] not in differ
        ]
    for query in ("", "?validate_only=true"):
        refused = bob.send("POST", f"/v1/jobs{query}", json=job(id))
        unknown = bob.send("POST", f"/v1/jobs{query}", json=job(UNKNOWN))
        assert refused.status_code == unknown.status_code == 422
        assert refused.data == unknown.data.replace(UNKNOWN.encode(), id.encode())
    same = bob.send("POST", "/v1/datasets", data=SHOP, headers=csv).json
    mine = ada.send("GET", f"/v1/datasets/{id}").json
    assert same["size"] == mine["size"], "nobody learns that somebody else has the same bytes"
    assert [d["id"] for d in bob.send("GET", "/v1/datasets").json["items"]] == [same["id"]]
    assert bob.send("DELETE", f"/v1/datasets/{same['id']}").status_code == 204
    assert ada.send("GET", f"/v1/datasets/{id}/rows").json["items"][0]["values"]["size"] == 1.5


def test_what_was_read_is_json(client: FlaskClient) -> None:
    answer = upload(client, "a,y\n1e308,1\n1.7e308,2\n")
    assert json.loads(answer.data)["columns"][0]["mean"] == pytest.approx(1.35e308)
