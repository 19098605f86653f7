"""The root and misspelt addresses: each address has one spelling, and the others say so."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from service.api.app import create_app
from service.common.settings import Settings


@pytest.fixture(scope="module")
def reader() -> FlaskClient:
    return create_app(Settings(auth="off")).test_client()


def test_the_printed_address_leads_to_the_documentation(reader: FlaskClient) -> None:
    answer = reader.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/docs")
    assert reader.get("/", follow_redirects=True).mimetype == "text/html"


@pytest.mark.parametrize(
    "path",
    [
        "//metrics", "///metrics", "//", "//docs", "//docs/", "/%2fmetrics", "/%2Fmetrics",
        "%2fmetrics", "/v1%2fjobs", "/v1/jobs%2F", "//v1/jobs", "//evil.example/",
        "//evil.example/v1/jobs/", "/v1//jobs", "/docs%2f", "/\\metrics", "/%5cmetrics",
        "/./metrics", "/docs/../metrics", "/metrics;x", "/%252fmetrics", "metrics", "/ metrics",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_misspelt_address_is_not_another_route_s(
    reader: FlaskClient, path: str, method: str
) -> None:
    environ = EnvironBuilder("/", method=method).get_environ()
    environ |= {"RAW_URI": path, "PATH_INFO": path.replace("%2f", "/").replace("%2F", "/")}
    _, status, headers = run_wsgi_app(reader.application, environ)
    assert status == "404 NOT FOUND"
    assert headers["Content-Type"] == "application/problem+json"
    assert "Location" not in headers


def test_a_misspelt_address_does_not_count_as_the_route(reader: FlaskClient) -> None:
    reader.get("//openapi.json")
    assert 'route="/openapi.json"' not in reader.get("/metrics").text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/v1/jobs/", "/v1/jobs"),
        ("/v1/jobs/?limit=3&name=a%26b", "/v1/jobs?limit=3&name=a%26b"),
        ("/docs/", "/docs"),
        ("/healthz/", "/healthz"),
        ("/v1/jobs/job_1/history/", "/v1/jobs/job_1/history"),
        ("/v1/jobs/%C3%A9%20%3F%23%0D%0A/", "/v1/jobs/%C3%A9%20%3F%23%0D%0A"),
        ("/v1/jobs/job_1/cancel/", "/v1/jobs/job_1/cancel"),
    ],
)
def test_a_last_slash_is_taken_off_and_the_method_kept(
    reader: FlaskClient, method: str, path: str, right: str
) -> None:
    answer = reader.open(path, method=method)
    assert (answer.status_code, answer.headers["Location"]) == (308, right)


def test_a_submission_to_the_address_with_a_slash_arrives(
    client: FlaskClient, moons: dict[str, Any]
) -> None:
    assert client.post("/v1/jobs/", json=moons, follow_redirects=True).status_code == 201


@pytest.mark.parametrize("path", ["/nowhere/", "/v1/", "/v1/jobs//", "/v1/jobs/x/y/", "/docs//"])
def test_a_last_slash_behind_nothing_leads_nowhere(reader: FlaskClient, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 404
    assert "Location" not in answer.headers
