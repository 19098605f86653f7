"""The client's types and the service's OpenAPI document say the same, field by field."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from gradserve import types
from service.api.app import create_app
from service.common.settings import Settings

SCHEMAS = {
    types.JobError: "JobError",
    types.JobSummary: "JobSummary",
    types.Job: "JobView",
    types.HistoryRow: "HistoryItem",
    types.LayerParameters: "LayerView",
    types.Parameters: "ParametersView",
}
# Schemas that stand inside of others, found by the field that holds them.
INNER = {
    ("JobView", "final"): types.Figures,
    ("JobView", "best"): types.Figures,
    ("JobView", "environment"): types.Environment,
    ("JobView", "warnings"): types.SubmissionWarning,
}
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
def schemas() -> dict[str, Any]:
    document: Any = create_app(Settings()).test_client().get("/openapi.json").json
    found: dict[str, Any] = document["components"]["schemas"]
    return found


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
    """The same for a field of a TypedDict."""
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        return set().union(*map(hinted, get_args(hint)))
    if origin is Literal:
        return {JSON_TYPES[type(value)] for value in get_args(hint)}
    return {"object" if is_typeddict(origin) else JSON_TYPES[origin]}


def compare(hints: type, schema: dict[str, Any]) -> None:
    sent, fields = schema["properties"], get_type_hints(hints)
    assert set(sent) <= set(fields), "the service sends what the client's type does not have"
    required = set(fields) & hints.__required_keys__  # type: ignore[attr-defined]
    assert required <= set(sent), "the client's type has what the service does not send"
    for field in sent:
        assert hinted(fields[field]) == kinds(sent[field]), field


@pytest.mark.parametrize("hints", SCHEMAS, ids=lambda hints: hints.__name__)
def test_a_type_of_the_client_is_a_schema_of_the_service(
    hints: type, schemas: dict[str, Any]
) -> None:
    compare(hints, schemas[SCHEMAS[hints]])


@pytest.mark.parametrize("place", INNER, ids=".".join)
def test_an_inner_type_is_the_schema_of_its_field(
    place: tuple[str, str], schemas: dict[str, Any]
) -> None:
    schema, field = place
    if field not in schemas[schema]["properties"]:
        pytest.skip(f"{schema} has no field {field} yet")
    (inner,) = named(schemas[schema]["properties"][field])
    compare(INNER[place], schemas[inner])


def test_the_states_are_those_of_the_service(schemas: dict[str, Any]) -> None:
    assert set(schemas["JobView"]["properties"]["state"]["enum"]) == set(types.JOB_STATES)
