"""/openapi.json and a page to try it at /docs, both without anything from the internet."""

from __future__ import annotations

from importlib.metadata import version

from flask import Response, jsonify
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from flask_openapi3_swagger.plugins import RegisterPlugin  # type: ignore[import-untyped]

from service.api.problems import MEDIA_TYPE

INFO = Info(
    title="gradserve",
    version=version("gradserve"),
    description="Train small neural networks as jobs over HTTP.",
)

PROBLEM = {
    "description": "Problem details, RFC 9457",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def register(app: OpenAPI) -> None:
    # The plugin's page lives at /swagger and finds its files relative to the folder of the
    # address that it is called by, so the same page works at /docs.
    app.register_blueprint(RegisterPlugin.register(doc_url="openapi.json"))
    app.add_url_rule("/docs", endpoint="docs", view_func=app.view_functions["swagger.swagger"])
    # Without this the page asks a validator on the internet about the document.
    app.config["SWAGGER_CONFIG"] = {"validatorUrl": None}

    @app.route("/openapi.json")
    def openapi() -> Response:
        return jsonify(app.api_doc)
