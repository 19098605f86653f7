"""/openapi.json, and a page at /docs to try it; neither loads anything from the internet."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Response, jsonify
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.types import ResponseDict
from flask_openapi3_swagger.plugins import RegisterPlugin  # type: ignore[import-untyped]
from pydantic import BaseModel

from service.api.problems import MEDIA_TYPE

INFO = Info(
    title="gradserve",
    version=version("gradserve"),
    description="Train small neural networks as jobs over HTTP. A request that cannot be read is "
    "refused with a Problem like any other: malformed (400), late (408), with a line (414) or fields "
    "(431) that are too long, or with an expectation (417) or a coding (501) that is not known.",
)


def answers(models: Mapping[int, type[BaseModel]], *problems: HTTPStatus) -> ResponseDict:
    """The answers of an operation: a model per good status, and the problems that it returns."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    made: ResponseDict = dict(models.items())
    for status in problems:
        made[status] = {"description": status.phrase, "content": content}
    return made


def register(app: OpenAPI) -> dict[str, Any]:
    """Adds the document and the page; returns the document.

    Call it when every resource is registered.
    """
    # The plugin's page is at /swagger and finds its files relative to the folder of its
    # address, so the same page works at /docs.
    app.register_blueprint(RegisterPlugin.register(doc_url="openapi.json"))
    app.add_url_rule("/docs", endpoint="docs", view_func=app.view_functions["swagger.swagger"])
    # Without the first the page asks a validator on the internet about the document. The others
    # open a request ready to be sent, and leave the schemas to where they are used.
    app.config["SWAGGER_CONFIG"] = {
        "validatorUrl": None,
        "tryItOutEnabled": True,
        "defaultModelsExpandDepth": 0,
    }
    made = document(app)

    @app.route("/openapi.json")
    def openapi() -> Response:
        return jsonify(made)

    return made


def document(app: OpenAPI) -> dict[str, Any]:
    """flask-openapi3's document, corrected.

    It has a null where security schemes would be, and a 422 of its own where none was declared.
    Every operation can refuse a query parameter, so each of them has the problem instead.
    """
    made: dict[str, Any] = app.api_doc
    refused = answers({}, HTTPStatus.UNPROCESSABLE_ENTITY)[HTTPStatus.UNPROCESSABLE_ENTITY]
    del made["components"]["securitySchemes"]
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["responses"]["422"] = refused
    return made
