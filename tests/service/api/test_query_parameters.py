"""No route ignores a query parameter."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from service.api.app import create_app
from service.common.settings import Settings

APP = create_app(Settings(auth="off"))
ROUTES = sorted(
    (method, re.sub(r"<[^>]+>", "x", rule.rule))
    for rule in APP.url_map.iter_rules()
    for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
)

DOCUMENT = APP.test_client().get("/openapi.json").json
PARAMETERS = [
    (method.upper(), path.replace("{id}", "x"), parameter["name"])
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for parameter in operation.get("parameters", ())
    if parameter["in"] == "query"
]


def test_the_place_of_a_strange_name_is_a_json_pointer(client: FlaskClient) -> None:
    (error,) = client.get("/v1/jobs?a/b~c=1").json["errors"]
    assert error["pointer"] == "/a~1b~0c"


def test_options_may_name_the_parameters_of_another_method(client: FlaskClient) -> None:
    assert client.options("/v1/jobs?limit=5").status_code == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_parameter_that_a_route_does_not_have_is_refused(
    client: FlaskClient, method: str, path: str
) -> None:
    answer = client.open(f"{path}?no_such_name=50", method=method)
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    (error,) = answer.json["errors"]
    assert error["pointer"] == "/no_such_name"
    assert "has no query parameter of this name" in error["detail"]


@pytest.mark.parametrize(("method", "path", "name"), PARAMETERS)
def test_a_parameter_that_is_given_twice_is_refused(
    client: FlaskClient, method: str, path: str, name: str
) -> None:
    answer = client.open(f"{path}?{name}=1&{name}=2", method=method)
    assert answer.status_code == 422
    assert answer.json["errors"] == [
        {"pointer": f"/{name}", "detail": "given 2 times; give it once"}
    ]
