"""Every bad request is refused with problem details that name the place, never with a 500."""

from __future__ import annotations

import copy
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from gunicorn.http.errors import InvalidChunkSize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import Buffer
from werkzeug.test import TestResponse

from service.api.app import create_app
from service.common.settings import Settings

Spec = dict[str, Any]


@pytest.fixture(scope="module")
def sender(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """A client of a service without a broker, shared by all of these tests."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("bad-input"))
    url = f"sqlite:///{path}"
    return create_app(
        Settings(auth="off", database_url=url, broker_url="redis://127.0.0.1:1")
    ).test_client()


def post(sender: FlaskClient, body: bytes | str) -> TestResponse:
    return sender.post("/v1/jobs", data=body, content_type="application/json")


def assert_problem(answer: TestResponse, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.mimetype == "application/problem+json"
    problem: dict[str, Any] = json.loads(answer.data)
    assert problem["status"] == status
    assert all(isinstance(problem[key], str) for key in ("type", "title", "detail"))
    assert "Traceback" not in problem["detail"]
    return problem


def changed(spec: Spec, pointer: str, value: object) -> str:
    """The specification as JSON, with raw JSON text inserted at the pointer."""
    spec = copy.deepcopy(spec)
    *path, last = [int(p) if p.isdigit() else p for p in pointer.strip("/").split("/")]
    place: Any = spec
    for part in path:
        place = place[part]
    place[last] = "@@"
    return json.dumps(spec).replace('"@@"', str(value))


@pytest.mark.parametrize(
    ("place", "value", "pointer"),
    [
        ("/nane", '"typo"', "/nane"),
        ("/name", "7", "/name"),
        ("/name", '""', "/name"),
        ("/name", '"' + "x" * 201 + '"', "/name"),
        ("/name", r'"a\u0000b"', "/name"),
        ("/name", r'"\ud800"', "/name"),
        ("/dataset/noise", "NaN", "/dataset/noise"),
        ("/dataset/noise", "Infinity", "/dataset/noise"),
        ("/dataset/noise", "-Infinity", "/dataset/noise"),
        ("/dataset/noise", "1e999", "/dataset/noise"),
        ("/dataset/noise", "9" * 5000, "/dataset/noise"),
        ("/dataset/noise", "true", "/dataset/noise"),
        ("/dataset/noise", '"0.1"', "/dataset/noise"),
        ("/dataset/seed", "NaN", "/dataset/seed"),
        ("/dataset/seed", "1.5", "/dataset/seed"),
        ("/dataset/seed", "-1", "/dataset/seed"),
        ("/dataset/seed", str(2**32), "/dataset/seed"),
        ("/dataset/seed", str(10**30), "/dataset/seed"),
        ("/dataset/n_samples", "0", "/dataset/n_samples"),
        ("/dataset/colour", '"red"', "/dataset/colour"),
        ("/dataset/a~b~1c", "1", "/dataset/a~0b~01c"),
        ("/dataset/kind", '"spirals"', "/dataset"),
        ("/dataset", "null", "/dataset"),
        ("/dataset", "[]", "/dataset"),
        ("/dataset", "{}", "/dataset"),
        ("/model/layers", "[]", "/model/layers"),
        ("/model/layers/0/units", "0", "/model/layers/0/units"),
        ("/model/layers/1/units", "-1", "/model/layers/1/units"),
        ("/model/layers/1/units", "1e3", "/model/layers/1/units"),
        ("/model/layers/0/activation", '"swish"', "/model/layers/0/activation"),
        ("/model/init", '{"kind": "zeros"}', "/model/init/kind"),
        ("/loss/kind", '"absolute"', "/loss/kind"),
        ("/loss/l2", "-1", "/loss/l2"),
        ("/optimizer/kind", '"adam"', "/optimizer/kind"),
        ("/optimizer/learning_rate", "0", "/optimizer/learning_rate"),
        ("/optimizer/learning_rate", "NaN", "/optimizer/learning_rate"),
        ("/optimizer/learning_rate", '"fast"', "/optimizer/learning_rate"),
        (
            "/optimizer/learning_rate",
            '{"kind": "linear", "start": 1, "end": NaN}',
            "/optimizer/learning_rate/end",
        ),
        ("/training/steps", "-5", "/training/steps"),
        ("/training/steps", "0", "/training/steps"),
        ("/training/steps", "1e2", "/training/steps"),
        ("/training/log_every", "0", "/training/log_every"),
        ("/executor", '"gpu"', "/executor"),
        ("/parent_id", "7", "/parent_id"),
        ("/parent_id", '"job_unknown"', "/parent_id"),
    ],
)
def test_the_place_of_a_wrong_value_is_named(
    sender: FlaskClient, moons: Spec, place: str, value: str, pointer: str
) -> None:
    problem = assert_problem(post(sender, changed(moons, place, value)), 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["errors"][0]["detail"]
    assert pointer in problem["detail"]


@pytest.mark.parametrize(
    ("x", "y", "pointer"),
    [
        ("[]", "[]", "/dataset/x"),
        ("[[]]", "[1]", "/dataset/x/0"),
        ("[[1, 2], [3]]", "[0, 1]", "/dataset/x/1"),
        ("[[1, 2], [3, 4]]", "[0, 1, 0]", "/dataset/y"),
        ("[[1, 2], [3, NaN]]", "[0, 1]", "/dataset/x/1/1"),
        ('[[1, 2], [3, "4"]]', "[0, 1]", "/dataset/x/1/1"),
        ("[[1, 2], 3]", "[0, 1]", "/dataset/x/1"),
        ("[[1, 2], [3, 4]]", "[0, 2.5]", "/dataset/y/1"),
        ("[[1, 2], [3, 4], [5, 6]]", "[0, 1, -1]", "/dataset/y"),
        ("[[1, 2], [3, 4]]", "[1, 1]", "/dataset/y"),
    ],
)
def test_the_place_of_a_wrong_row_is_named(
    sender: FlaskClient, moons: Spec, x: str, y: str, pointer: str
) -> None:
    body = changed(moons, "/dataset", f'{{"kind": "inline", "x": {x}, "y": {y}}}')
    problem = assert_problem(post(sender, body), 422)
    assert any(error["pointer"].startswith(pointer) for error in problem["errors"])


def test_every_missing_part_is_named(sender: FlaskClient) -> None:
    problem = assert_problem(post(sender, "{}"), 422)
    assert {error["pointer"] for error in problem["errors"]} == {
        "/dataset",
        "/model",
        "/loss",
        "/optimizer",
        "/training",
    }


def test_a_hundred_thousand_mistakes_are_not_all_reported(sender: FlaskClient, moons: Spec) -> None:
    x = json.dumps([["a"]] * 5000)
    body = changed(moons, "/dataset", f'{{"kind": "inline", "x": {x}, "y": [0, 1]}}')
    problem = assert_problem(post(sender, body), 422)
    assert len(problem["errors"]) == 100
    assert "and at least 4999 more" in problem["detail"]


def repeated(part: str, times: int) -> str:
    return f'{{"a": [{",".join([part] * times)}]}}'


@pytest.mark.parametrize("part", ["[]", "[[]]", "{}", '{"": 0}', '""', '"ab"', r'"\ud800"'])
def test_more_parts_than_any_job_has_are_not_read(sender: FlaskClient, part: str) -> None:
    problem = assert_problem(post(sender, repeated(part, 250_000)), 422)
    assert [error["pointer"] for error in problem["errors"]] == [""]
    assert "200,000 lists, objects and strings" in problem["detail"]


def test_the_largest_tables_are_read(sender: FlaskClient, moons: Spec) -> None:
    rows, classes = 100_000, ('"[{[{"', '"{[{["')
    inline = {"kind": "inline", "x": [[0.5, 1]] * rows, "y": [0, 1] * (rows // 2)}
    lines = [f"0.5,{name}" for name in classes] * (rows // 2)
    csv = {"kind": "csv", "header": False, "text": "\n".join(lines)}
    for dataset in (inline, csv):
        assert sender.post("/v1/jobs", json=moons | {"dataset": dataset}).status_code == 201


def test_a_table_of_too_many_rows_is_refused_by_its_place(sender: FlaskClient, moons: Spec) -> None:
    dataset = {"kind": "inline", "x": [[1]] * 150_000, "y": [0, 1]}
    problem = assert_problem(sender.post("/v1/jobs", json=moons | {"dataset": dataset}), 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/dataset/x"]


def test_a_string_of_quotation_marks_that_has_no_end_is_400(sender: FlaskClient) -> None:
    assert_problem(post(sender, '{"a": "' + r"\"" * 500_000), 400)


def test_every_text_that_cannot_be_stored_is_named(sender: FlaskClient) -> None:
    lists = r'"a": [1, {"b": "\ud800"}, ["\ud83d\ude00", "\u0000"]]'
    objects = r'"\udc00": 2, "c": {"d": {"\ud800": 1}}'
    problem = assert_problem(post(sender, f"{{{lists}, {objects}}}"), 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/a/1/b", "/a/2/1", "", "/c/d"]


def test_of_a_hundred_thousand_texts_that_cannot_be_stored_not_all_are_read(
    sender: FlaskClient,
) -> None:
    problem = assert_problem(post(sender, repeated(r'"\ud800"', 150_000)), 422)
    assert [e["pointer"] for e in problem["errors"]] == [f"/a/{i}" for i in range(100)]
    assert "and at least 100 more" in problem["detail"]


def test_one_mistake_per_row_is_reported(sender: FlaskClient, moons: Spec) -> None:
    x = json.dumps([["a", "b"], ["c", "d"]])
    body = changed(moons, "/dataset", f'{{"kind": "inline", "x": {x}, "y": [0, 1]}}')
    problem = assert_problem(post(sender, body), 422)
    assert [e["pointer"] for e in problem["errors"]] == ["/dataset/x/0/0", "/dataset/x/1/0"]


def test_a_body_without_a_length_is_read(sender: FlaskClient, moons: Spec) -> None:
    assert chunked(sender, io.BytesIO(json.dumps(moons).encode())).status_code == 201


def test_a_body_without_a_length_that_is_too_large_is_413(
    sqlite_database: str, moons: Spec
) -> None:
    body = json.dumps(moons).encode()
    small = Settings(auth="off", database_url=sqlite_database, max_body_bytes=len(body) + 1000)
    answer = chunked(create_app(small).test_client(), io.BytesIO(body + b" " * 2000))
    assert f"{len(body) + 1000:,} bytes" in assert_problem(answer, 413)["detail"]


@pytest.mark.parametrize("error", [ConnectionResetError(), InvalidChunkSize(b"zz")])
def test_a_body_that_breaks_off_is_400(sender: FlaskClient, error: Exception) -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: Buffer) -> int:
            raise error

    assert "whole" in assert_problem(chunked(sender, Broken()), 400)["detail"]


def chunked(sender: FlaskClient, body: io.BytesIO) -> TestResponse:
    """A post whose server reads the body without knowing its length."""
    return sender.post(
        "/v1/jobs",
        input_stream=body,
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        json.dumps({str(i): i for i in range(1001)}),
        json.dumps({"x" * 101: 1}),
        '{"' + "x" * 1_000_000 + r'": ["\ud800", "\ud800"]}',
        "{} {}",
        '{"a": 1,}',
        "{'a': 1}",
        "undefined",
        '{"a": 01}',
        '{"a": "\t"}',
        b'{"a": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"\x00",
        '{"name": "a", "name": "b"}',
        '{"training": {"steps": 1, "steps": 2}}',
        "[" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
    ],
)
def test_what_is_not_json_is_400(sender: FlaskClient, body: bytes | str) -> None:
    assert_problem(post(sender, body), 400)


@pytest.mark.parametrize("body", ["[]", "1", "null", '"{}"', "NaN", "true", '["a"]'])
def test_what_is_not_an_object_is_422(sender: FlaskClient, body: str) -> None:
    assert assert_problem(post(sender, body), 422)["errors"][0]["pointer"] == ""


def test_nesting_that_can_be_read_is_refused_by_its_place(sender: FlaskClient) -> None:
    problem = assert_problem(post(sender, '{"a":' * 300 + "1" + "}" * 300), 422)
    assert "/a" in {error["pointer"] for error in problem["errors"]}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_types_are_415(sender: FlaskClient, moons: Spec, content_type: str) -> None:
    answer = sender.post("/v1/jobs", data=json.dumps(moons), content_type=content_type)
    assert_problem(answer, 415)


def test_a_compressed_body_is_415(sender: FlaskClient, moons: Spec) -> None:
    answer = sender.post("/v1/jobs", json=moons, headers={"Content-Encoding": "gzip"})
    assert_problem(answer, 415)


def test_a_body_that_is_too_large_is_413(sqlite_database: str, moons: Spec) -> None:
    small = Settings(auth="off", database_url=sqlite_database, max_body_bytes=100)
    assert_problem(create_app(small).test_client().post("/v1/jobs", json=moons), 413)


def test_unknown_paths_are_404(sender: FlaskClient) -> None:
    for path in ("/nothing", "/v1", "/v1/", "/v1/jobs/x/y", "/v2/jobs", "/%00"):
        assert_problem(sender.get(path), 404)


@pytest.mark.parametrize("path", ["/v1//jobs", "/v1/jobs//", "/v1/jobs//x", "/v1//jobs/x/history"])
def test_a_doubled_slash_leads_nowhere(sender: FlaskClient, path: str) -> None:
    answer = sender.get(path)
    assert_problem(answer, 404)
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "id", ["job_" + "0" * 24, "x", "%00", "%ff", "job_%F0%9F%92%A5", "a" * 2000]
)
@pytest.mark.parametrize("part", ["", "/history", "/parameters", "/events"])
def test_unknown_jobs_are_404(sender: FlaskClient, id: str, part: str) -> None:
    assert_problem(sender.get(f"/v1/jobs/{id}{part}"), 404)


@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
def test_nothing_can_be_asked_of_unknown_jobs(sender: FlaskClient, action: str) -> None:
    assert_problem(sender.post(f"/v1/jobs/job_{'0' * 24}/{action}"), 404)


def test_wrong_methods_are_405_and_say_which_are_right(sender: FlaskClient) -> None:
    for method, path, right in (("PUT", "/v1/jobs", "POST"), ("POST", "/healthz", "GET")):
        answer = sender.open(path, method=method)
        assert_problem(answer, 405)
        assert right in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=many", "/limit"),
        ("limit=1e1", "/limit"),
        ("limit=" + "9" * 5000, "/limit"),
        ("state=lost", "/state"),
        ("name=%00", "/name"),
        ("cursor=x", "/cursor"),
        ("cursor=", "/cursor"),
        ("cursor=%00", "/cursor"),
        ("colour=red", "/colour"),
    ],
)
def test_wrong_list_parameters_are_422(sender: FlaskClient, query: str, pointer: str) -> None:
    problem = assert_problem(sender.get(f"/v1/jobs?{query}"), 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize(
    "query",
    [
        "history?after_step=-2",
        f"history?after_step={2**31}",
        "history?limit=10001",
        "history?max_points=2",
        "history?max_points=x",
        "history?format=xml",
        "events?after=-1",
        "events?after=" + "9" * 30,
    ],
)
def test_wrong_parameters_of_outcomes_are_422(sender: FlaskClient, query: str) -> None:
    assert_problem(sender.get(f"/v1/jobs/job_{'0' * 24}/{query}"), 422)


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\tb"])
def test_wrong_keys_are_422(sender: FlaskClient, moons: Spec, key: str) -> None:
    answer = sender.post("/v1/jobs", json=moons, headers={"Idempotency-Key": key})
    problem = assert_problem(answer, 422)
    assert problem["errors"][0]["pointer"] == "/Idempotency-Key"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_nothing_that_is_put_anywhere_is_a_500(
    sender: FlaskClient, moons: Spec, data: st.DataObject
) -> None:
    spec = copy.deepcopy(moons)
    place: Any = spec
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    answer = post(sender, json.dumps(spec))
    assert answer.status_code in (201, 400, 422)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_no_bytes_are_a_500(sender: FlaskClient, body: bytes) -> None:
    assert post(sender, body).status_code in (400, 422)


def test_a_byte_order_mark_is_no_part_of_the_json(sender: FlaskClient, moons: Spec) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(moons).encode()
    assert post(sender, body).status_code == 201
    assert_problem(post(sender, b"\xef\xbb\xbf" + body), 400)


def test_csv_is_told_where_it_goes(sender: FlaskClient) -> None:
    answer = sender.post("/v1/jobs", data=b"a,y\n1,2\n", content_type="text/csv")
    assert '"kind": "csv"' in assert_problem(answer, 415)["detail"]
