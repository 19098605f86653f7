"""/openapi.json, and a page at /docs to try it; neither loads anything from the internet."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Response, jsonify, request
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.types import ResponseDict
from flask_openapi3_swagger.plugins import RegisterPlugin  # type: ignore[import-untyped]
from pydantic import BaseModel

from service.api.auth import OPEN
from service.api.problems import MEDIA_TYPE
from service.api.rate_limits import EXEMPT

INFO = Info(
    title="gradserve",
    version=version("gradserve"),
    description="Train small neural networks as jobs over HTTP. A request that cannot be read is "
    "refused with a Problem like any other: malformed (400), late (408), with a line (414) or "
    "fields (431) that are too long, with an unknown expectation (417) or coding (501). The fields "
    "`RateLimit` and `RateLimit-Policy` tell how many requests are left within this second "
    "(draft-ietf-httpapi-ratelimit-headers-10).",
)
KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "an API key, gs_…; `gradserve keys create` makes one",
}


# The host and the query parameters of every request are checked; see `origins` for 403, and
# `service.run.refusals` for what is refused before a request can be read.
EVERYWHERE = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.EXPECTATION_FAILED,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.NOT_IMPLEMENTED,
)
# Where requests need a key, by `auth`.
WITH_KEYS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

# By status, a header of such answers, and whether every one has it.
HEADERS = {
    HTTPStatus.CREATED: ("Location", "the address of what was made", True),
    HTTPStatus.UNAUTHORIZED: (
        "WWW-Authenticate",
        "how to send a key, and what is wrong with it",
        True,
    ),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After", "seconds to wait", True),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After", "seconds to wait", False),
}

INLINE = re.compile("<(script|style)>(.*?)</", re.DOTALL)


def answers(models: Mapping[int, type[BaseModel]], *problems: HTTPStatus) -> ResponseDict:
    """The answers of an operation: a model per good status, and the problems that it returns."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    made: ResponseDict = dict(models.items())
    for status in problems:
        made[status] = {"description": status.phrase, "content": content}
    return made


def register(app: OpenAPI, *, keys: bool) -> dict[str, Any]:
    """Adds the document and the page; returns the document.

    Call it when every resource is registered. `keys`: requests need one.
    """
    # The plugin's page is at /swagger and finds its files relative to the folder of its
    # address, so the same page works at /docs.
    app.register_blueprint(RegisterPlugin.register(doc_url="openapi.json"))
    page = app.view_functions["swagger.swagger"]

    @app.route("/docs")
    def docs() -> Response:
        html = str(page())
        return Response(html, headers={"Content-Security-Policy": content_security_policy(html)})

    app.view_functions["swagger.swagger"] = docs
    # Without the first the page asks a validator on the internet about the document. The next two
    # open a request ready to be sent, and leave the schemas to where they are used. The last
    # leaves out the bar with Swagger's logo, whose style the policy below would have to allow.
    app.config["SWAGGER_CONFIG"] = {
        "validatorUrl": None,
        "tryItOutEnabled": True,
        "defaultModelsExpandDepth": 0,
        "layout": "BaseLayout",
    }
    made = document(app, keys=keys)

    @app.route("/openapi.json")
    def openapi() -> Response:
        return jsonify(made | {"servers": [{"url": request.script_root or "/"}]})

    return made


def content_security_policy(html: str) -> str:
    """Lets the page run its own files and what it holds itself, and nothing else."""
    hashes: dict[str, str] = {"script": "", "style": ""}
    for kind, text in INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind] += f" 'sha256-{digest}'"
    return (
        f"default-src 'none'; script-src 'self'{hashes['script']}; "
        f"style-src 'self'{hashes['style']}; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def document(app: OpenAPI, *, keys: bool) -> dict[str, Any]:
    """flask-openapi3's document, corrected.

    It has a null where security schemes would be, and a 422 of its own where none was declared.
    Every operation can refuse a query parameter, so each of them has the problem instead, and
    those that are made before an operation begins.
    """
    made: dict[str, Any] = app.api_doc
    del made["components"]["securitySchemes"]
    if keys:
        made["components"]["securitySchemes"] = {"key": KEY}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            refusals = EVERYWHERE if method == "get" else (*EVERYWHERE, HTTPStatus.FORBIDDEN)
            if path not in EXEMPT:
                refusals = (*refusals, HTTPStatus.TOO_MANY_REQUESTS)
            if keys and path not in OPEN:
                operation["security"] = [{"key": []}]
                refusals = (*refusals, *WITH_KEYS)
            for status, answer in answers({}, *refusals).items():
                operation["responses"][str(int(status))] = answer
            _add_headers(operation["responses"])
    return made


def _add_headers(responses: dict[str, Any]) -> None:
    for status, (name, description, required) in HEADERS.items():
        if str(int(status)) in responses:
            responses[str(int(status))]["headers"] = {
                name: {
                    "description": description,
                    "required": required,
                    "schema": {"type": "string"},
                }
            }
