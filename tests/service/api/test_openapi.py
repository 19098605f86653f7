"""The OpenAPI document is right, and its page needs no internet."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.api.app import create_app
from service.api.rate_limits import EXEMPT
from service.common.settings import Settings


@pytest.fixture(scope="module")
def reader() -> FlaskClient:
    return create_app(Settings(auth="off")).test_client()


@pytest.fixture(scope="module")
def document(reader: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = reader.get("/openapi.json").json  # type: ignore[assignment]
    return found


def test_it_is_openapi_31_and_has_every_path(document: dict[str, Any], reader: FlaskClient) -> None:
    assert document["openapi"].startswith("3.1.")
    for path, method in (
        ("/v1/jobs", "post"),
        ("/v1/jobs", "get"),
        ("/v1/jobs/{id}", "get"),
        ("/v1/jobs/{id}/cancel", "post"),
        ("/v1/jobs/{id}/pause", "post"),
        ("/v1/jobs/{id}/resume", "post"),
        ("/v1/jobs/{id}/history", "get"),
        ("/v1/jobs/{id}/parameters", "get"),
        ("/v1/jobs/{id}/events", "get"),
        ("/v1/datasets", "post"),
        ("/v1/datasets", "get"),
        ("/v1/datasets/{id}", "get"),
        ("/v1/datasets/{id}", "delete"),
        ("/v1/datasets/{id}/rows", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
    ):
        operation = document["paths"][path][method]
        assert operation["summary"]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in references(inner)]
    return []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert "#/components/schemas/Problem" in found
    for reference in found:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(names) == len(set(names))


def test_parameters_are_documented_by_the_names_that_are_read(document: dict[str, Any]) -> None:
    submit = document["paths"]["/v1/jobs"]["post"]
    assert [(p["name"], p["in"]) for p in submit["parameters"]] == [
        ("Idempotency-Key", "header"),
        ("validate_only", "query"),
    ]
    page = document["paths"]["/v1/jobs"]["get"]
    assert {p["name"] for p in page["parameters"]} == {"limit", "cursor", "state", "name"}


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("post", "/v1/jobs", "200 201 400 413 415 422 503 507"),
        ("delete", "/v1/jobs/{id}", "204 404 409 422 503"),
        ("get", "/v1/jobs", "200 422 503"),
        ("get", "/v1/jobs/{id}", "200 404 422 503"),
        ("post", "/v1/jobs/{id}/cancel", "200 404 409 422 503"),
        ("get", "/v1/jobs/{id}/history", "200 404 422 503"),
        ("get", "/v1/jobs/{id}/parameters", "200 202 404 409 422 500 503 507"),
        ("get", "/healthz", "200 422"),
        ("get", "/readyz", "200 422 503"),
    ],
)
def test_every_answer_is_documented(
    document: dict[str, Any], method: str, path: str, statuses: str
) -> None:
    answers = document["paths"][path][method]["responses"]
    before_it_begins = "400 408 414 417 421 431 501" + ("" if method == "get" else " 403")
    if path not in EXEMPT:
        before_it_begins += " 429"
    assert set(answers) == {*statuses.split(), *before_it_begins.split()}
    for status, answer in answers.items():
        if int(status) >= 400:
            ((media_type, content),) = answer["content"].items()
            assert media_type == "application/problem+json"
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_a_service_with_keys_documents_them_and_their_refusals() -> None:
    answer = create_app(Settings(auth="keys")).test_client().get("/openapi.json")
    assert answer.status_code == 401
    app = create_app(Settings(auth="keys"))
    with app.test_request_context():
        document = app.view_functions["openapi"]().json
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            closed = path not in ("/healthz", "/readyz")
            assert ("security" in operation) == closed
            assert ({"401", "403", "429"} <= set(operation["responses"])) == closed


def test_headers_that_clients_need_are_documented(document: dict[str, Any]) -> None:
    made = document["paths"]["/v1/jobs"]["post"]["responses"]["201"]
    assert made["headers"]["Location"]["required"] is True


def test_nothing_in_the_document_is_null_where_an_object_belongs(document: dict[str, Any]) -> None:
    assert all(isinstance(part, dict) for part in document["components"].values())


def test_defaults_in_the_document_are_allowed_values(document: dict[str, Any]) -> None:
    """Checks the fields with a default; those computed from other fields do not have one."""
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            if "default" in field and "minimum" in field:
                assert field["default"] >= field["minimum"]


def test_the_examples_are_accepted_as_they_stand(
    document: dict[str, Any], sqlite_database: str
) -> None:
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    sender = create_app(
        Settings(auth="off", database_url=sqlite_database, broker_url="redis://127.0.0.1:1")
    ).test_client()
    assert set(body["examples"]) == {"moons", "inline"}
    for example in body["examples"].values():
        answer = sender.post("/v1/jobs", json=example["value"])
        assert answer.status_code == 201, answer.get_data(as_text=True)


def test_the_page_loads_only_what_the_service_has(reader: FlaskClient) -> None:
    page = reader.get("/docs")
    assert page.status_code == 200
    html = page.get_data(as_text=True)
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", html)
    assert len(loaded) >= 4
    for address in loaded:
        assert not address.startswith(("http:", "https:", "//"))
        assert reader.get(f"/{address}").status_code == 200
    assert '"openapi.json"' in html
    assert "validatorUrl" in html  # or the page asks a validator on the internet
