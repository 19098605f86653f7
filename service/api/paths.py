"""Addresses beside those of the routes: the root, and spellings of a route's address.

One address has one spelling, so that a filter in front of the service sees what it asks for.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import Flask, current_app, redirect, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from service.api.problems import from_http


def register(app: Flask) -> None:
    """Serves the root; answers misspelt addresses with 404, or 308 for a last slash too many."""

    @app.before_request
    def check() -> None:
        """Raises NotFound for an address that Flask takes for another one."""
        if is_odd():
            request.url_rule = None
            raise NotFound

    @app.errorhandler(NotFound)
    def not_found(error: NotFound) -> Response:
        if error is request.routing_exception and request.path.endswith("/"):
            path = request.path.removesuffix("/")
            if leads_somewhere(path):
                return redirect(address(path), 308)
        return from_http(error)

    @app.route("/")
    def root() -> Response:
        """Leads whoever opens the printed address to the documentation."""
        return redirect(url_for("docs"))


def is_odd() -> bool:
    """Whether the address begins with two slashes or none, or has one that is encoded.

    Flask would route it like the address with a single plain slash.
    """
    path = request.environ.get("PATH_INFO", "")
    raw = request.environ.get("RAW_URI", "").partition("?")[0]
    return "//" in (path[:2], raw[:2]) or path[:1] not in ("/", "") or "%2f" in raw.lower()


def leads_somewhere(path: str) -> bool:
    """Whether a path has a route, for whichever method."""
    adapter = current_app.create_url_adapter(request)
    return adapter is not None and any(adapter.allowed_methods(path))


def address(path: str) -> str:
    """The path with the prefix of a proxy and the query of this request."""
    query = request.query_string.decode("latin-1")
    return request.script_root + quote(path) + (f"?{query}" if query else "")
