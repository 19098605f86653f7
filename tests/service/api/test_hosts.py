"""Requests that name another host are refused, whatever they ask for."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from service.api.app import create_app
from service.common.settings import Settings


@pytest.fixture(scope="module")
def reader() -> FlaskClient:
    return create_app(
        Settings(auth="off", allowed_hosts="ML.example.org, 10.0.0.1, fd00::1")
    ).test_client()


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8000", "LocalHost", "localhost.", "127.0.0.1", "127.0.0.1:1",
        "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "ml.example.org", "ml.Example.org:443",
        "ml.example.org.", "10.0.0.1:80", "[fd00::1]", "[FD00:0::1]:8000",
    ],
)  # fmt: skip
def test_its_own_names_are_answered(reader: FlaskClient, host: str) -> None:
    assert reader.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8000", "localhost.evil.example", "evil-localhost", "10.0.0.2",
        "x.ml.example.org", "ml.example.org@evil.example", "evil.example@ml.example.org", "::1",
        "localhost, evil.example", "localhost/", "localhost:port", "[::1", "[fd00::2]", "0.0.0.0",
        "localhost..", ".", ":8000", " ", "127.0.0.1.evil.example", "localhost:1:2", "[localhost]",
    ],
)  # fmt: skip
def test_other_names_are_misdirected(reader: FlaskClient, host: str) -> None:
    for method, path in (
        ("GET", "/healthz"), ("POST", "/v1/jobs"), ("GET", "/docs"), ("GET", "/nowhere"),
        ("OPTIONS", "/v1/jobs"), ("GET", "/"), ("GET", "/v1/jobs/"), ("GET", "/metrics"),
    ):  # fmt: skip
        answer = reader.open(path, method=method, headers={"Host": host})
        assert answer.status_code == 421
        assert answer.mimetype == "application/problem+json"
        assert answer.json is not None
        assert answer.json["type"] == "urn:gradserve:problem:misdirected-request"
        assert "Location" not in answer.headers
    if host.strip():
        assert f"{host!r} is not a host of this service" in answer.json["detail"]
        assert "GRADSERVE_ALLOWED_HOSTS" in answer.json["detail"]


@pytest.mark.parametrize("host", [{}, {"HTTP_HOST": ""}])
def test_a_request_without_a_host_is_misdirected(reader: FlaskClient, host: dict[str, str]) -> None:
    environ = EnvironBuilder("/healthz").get_environ()
    del environ["HTTP_HOST"]
    body, status, _ = run_wsgi_app(reader.application, environ | host)
    assert status == "421 MISDIRECTED REQUEST"
    detail = json.loads(b"".join(body))["detail"]
    assert detail == "the request does not name a host: send a Host header"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost:8000/healthz", 200),
        ("http://ml.example.org/healthz", 200),
        ("http://evil.example/healthz", 421),
        ("http://localhost@evil.example/healthz", 421),
        ("http:///healthz", 421),
    ],
)
def test_the_host_of_an_absolute_target_counts_as_well(
    reader: FlaskClient, target: str, status: int
) -> None:
    answer = reader.get("/healthz", environ_overrides={"RAW_URI": target})
    assert answer.status_code == status
