"""Query parameters that a route does not have, or that are given twice, are refused everywhere.

A misspelt parameter would otherwise be ignored silently, and of two equal ones one would win.
Every request passes here, so that no route can forget it. The parameters of a route are read from
the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, request
from pydantic import BaseModel, ConfigDict

from engine.spec.base import pointer
from service.api.routes import matched_pattern
from service.common.errors import InvalidRequest


class Query(BaseModel):
    """Parameters come as text, so numbers are read from it; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


def register(app: Flask, document: Mapping[str, Any]) -> None:
    """Checks every request of the app against the OpenAPI document."""
    known = {
        (path, method.upper()): [
            parameter["name"]
            for parameter in operation.get("parameters", ())
            if parameter["in"] == "query"
        ]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }

    @app.before_request
    def check() -> None:
        """Raises InvalidRequest with every parameter that is wrong."""
        path = matched_pattern()
        if path is None or not request.args or request.method == "OPTIONS":
            return
        method = "GET" if request.method == "HEAD" else request.method
        names = known.get((path, method), [])
        errors = [
            (pointer([name]), reason)
            for name in request.args
            if (reason := problem(name, names, len(request.args.getlist(name))))
        ]
        if errors:
            raise InvalidRequest(errors)


def problem(name: str, known: list[str], times: int) -> str:
    """What is wrong with a parameter; empty where nothing is."""
    if name not in known:
        there_are = f"there are {', '.join(known)}" if known else "there are none"
        return f"this address has no query parameter of this name; {there_are}"
    return f"given {times} times; give it once" if times > 1 else ""
