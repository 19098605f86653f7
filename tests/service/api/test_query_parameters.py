"""No route ignores a query parameter."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from service.api.app import create_app
from service.common.settings import Settings

ROUTES = sorted(
    (method, re.sub(r"<[^>]+>", "x", rule.rule))
    for rule in create_app(Settings()).url_map.iter_rules()
    for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_parameter_that_a_route_does_not_have_is_refused(
    client: FlaskClient, method: str, path: str
) -> None:
    answer = client.open(f"{path}?no_such_name=50", method=method)
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    (error,) = answer.json["errors"]
    assert error["pointer"] == "/no_such_name"
    assert "has no query parameter of this name" in error["detail"]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/v1/jobs?validate_only=true&validate_only=false", "validate_only"),
        ("GET", "/v1/jobs?limit=1&limit=abc", "limit"),
        ("GET", "/v1/jobs?state=failed&state=succeeded", "state"),
        ("GET", "/v1/jobs/x/history?limit=1&limit=1", "limit"),
        ("GET", "/v1/jobs/x/events?after=1&after=2", "after"),
    ],
)
def test_a_parameter_that_is_given_twice_is_refused(
    client: FlaskClient, method: str, path: str, name: str
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 422
    assert answer.json["errors"] == [
        {"pointer": f"/{name}", "detail": "given 2 times; give it once"}
    ]
