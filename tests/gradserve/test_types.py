"""The client's types and the service's OpenAPI document agree, field by field."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from gradserve import types
from gradserve.cli import formatting, jobs
from service.api.app import create_app
from service.common.settings import Settings

# The place in the document of the schema that each type represents.
PLACES = {
    types.JobError: "schemas JobError",
    types.JobSummary: "schemas JobSummary",
    types.Job: "GET /v1/jobs/{id} 200",
    types.SubmittedJob: "POST /v1/jobs 201",
    types.HistoryRow: "schemas HistoryItem",
    types.LayerParameters: "schemas LayerView",
    types.DatasetSummary: "schemas DatasetSummary",
    types.Dataset: "GET /v1/datasets/{id} 200",
    types.Column: "schemas ColumnView",
    types.Target: "schemas TargetView",
    types.DatasetRow: "schemas RowView",
    types.Count: "schemas Count",
    types.Parameters: "GET /v1/jobs/{id}/parameters 200",
    types.Event: "schemas EventView",
    types.Predictions: "POST /v1/jobs/{id}/predict 200",
    types.Prediction: "schemas PredictionView",
    types.Evaluation: "GET /v1/jobs/{id}/evaluation 200",
    types.ClassScores: "schemas ClassScoresView",
    types.Residuals: "schemas ResidualsView",
    types.JudgedRow: "schemas RowView",
}
# Types of a field of another type.
INNER = [
    (types.Job, "final", types.Scores),
    (types.Job, "best", types.Scores),
    (types.Job, "environment", types.Environment),
    (types.SubmittedJob, "warnings", types.SubmissionWarning),
]
JSON_TYPES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    list: "array",
    dict: "object",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: Any = create_app(Settings(auth="off")).test_client().get("/openapi.json").json
    return dict(found)


def schema_of(hints: type, document: dict[str, Any]) -> dict[str, Any]:
    """The fields of the schema that a type of the client represents."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    first, *rest = PLACES[hints].split()
    if first == "schemas":
        return dict(schemas[rest[0]]["properties"])
    path, status = rest
    response = document["paths"][path][first.lower()]["responses"][status]
    (name,) = named(response["content"]["application/json"]["schema"])
    return dict(schemas[name]["properties"])


def named(schema: Any) -> set[str]:
    """The names of the schemas that a field's schema refers to."""
    if isinstance(schema, dict):
        own = {schema["$ref"].rpartition("/")[2]} if "$ref" in schema else set()
        return own.union(*map(named, schema.values()))
    return set().union(*map(named, schema)) if isinstance(schema, list) else set()


def kinds(schema: dict[str, Any]) -> set[str]:
    """The outermost types that a field may have."""
    if "anyOf" in schema:
        return set().union(*map(kinds, schema["anyOf"]))
    return {"object"} if "$ref" in schema else {schema["type"]}


def hinted(hint: Any) -> set[str]:
    """The outermost types that a field of a TypedDict may have."""
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        return set().union(*map(hinted, get_args(hint)))
    if origin is Literal:
        return {JSON_TYPES[type(value)] for value in get_args(hint)}
    return {"object" if is_typeddict(origin) else JSON_TYPES[origin]}


def compare(hints: type, sent: dict[str, Any]) -> None:
    fields = get_type_hints(hints)
    assert set(sent) <= set(fields), "the service sends a field that the client's type lacks"
    required = hints.__required_keys__  # type: ignore[attr-defined]
    assert required <= set(sent), "the client's type requires a field that is not sent"
    for field in sent:
        assert hinted(fields[field]) == kinds(sent[field]), field


@pytest.mark.parametrize("hints", PLACES, ids=lambda hints: hints.__name__)
def test_a_type_of_the_client_has_the_fields_that_the_service_sends(
    hints: type, document: dict[str, Any]
) -> None:
    compare(hints, schema_of(hints, document))


@pytest.mark.parametrize(("outer", "field", "inner"), INNER)
def test_a_type_inside_of_another_has_the_fields_that_the_service_sends(
    outer: type, field: str, inner: type, document: dict[str, Any]
) -> None:
    fields = schema_of(outer, document)
    (name,) = named(fields[field])
    compare(inner, document["components"]["schemas"][name]["properties"])


def test_the_states_of_the_command_are_those_of_the_service(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas["JobSummary"]["properties"]["state"]["enum"]) == set(jobs.STATES)
    assert set(jobs.STATES) == set(formatting.STATE_STYLES)
