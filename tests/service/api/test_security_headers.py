"""Every answer asks browsers for caution, and the page at /docs works all the same."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.api.app import create_app
from service.common.settings import Settings


@pytest.fixture(scope="module")
def reader() -> FlaskClient:
    # Without a database, so that there is a 503 as well.
    return create_app(
        Settings(auth="off", database_url="sqlite:////nonexistent/x.db")
    ).test_client()


def policy(answer: TestResponse) -> dict[str, set[str]]:
    """The answer's Content-Security-Policy, by directive."""
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {name: set(sources) for name, *sources in (part.split() for part in parts)}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("OPTIONS", "/v1/jobs", 200),
        ("GET", "/", 302),
        ("GET", "/docs/", 308),
        ("GET", "/docs", 200),
        ("GET", "/swagger", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/swagger/js/swagger-ui-bundle.js", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/%2fmetrics", 404),
        ("DELETE", "/healthz", 405),
        ("POST", "/v1/jobs", 415),
        ("GET", "/v1/jobs?limit=x", 422),
        ("GET", "/v1/jobs", 503),
    ],
)
def test_every_answer_has_them(reader: FlaskClient, method: str, path: str, status: int) -> None:
    answer = reader.open(path, method=method)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == ("no-cache" if "/js/" in path else "no-store")
    assert "Server" not in answer.headers
    found = policy(answer)
    assert found["default-src"] == found["frame-ancestors"] == {"'none'"}
    assert found["base-uri"] == found["form-action"] == {"'none'"}
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "https:"} & set().union(*found.values())


def test_refusals_and_accidents_have_them_too() -> None:
    app: Flask = create_app(Settings(auth="off"))

    @app.route("/fails")
    def fails() -> Response:
        raise ZeroDivisionError

    @app.route("/keeps")
    def keeps() -> Response:
        return Response("x", headers={"Cache-Control": "max-age=60"})

    client = app.test_client()
    for answer, status in (
        (client.get("/fails"), 500),
        (client.get("/healthz", headers={"Host": "evil.example"}), 421),
        (client.post("/v1/jobs", headers={"Origin": "http://evil.example"}), 403),
    ):
        assert answer.status_code == status
        assert answer.headers["Cache-Control"] == "no-store"
        assert policy(answer)["default-src"] == {"'none'"}
    assert client.get("/keeps").headers["Cache-Control"] == "max-age=60"


class Page(HTMLParser):
    """What a page loads from elsewhere, and what it holds inline, both with their kind."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[tuple[str, str]] = []
        self.inline: list[tuple[str, str]] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert not [name for name in found if name.startswith("on") or name == "style"]
        if tag == "link":
            kind = {"stylesheet": "style-src", "shortcut icon": "img-src"}[found["rel"]]
            self.loaded.append((kind, found["href"]))
        elif tag == "script" and "src" in found:
            self.loaded.append(("script-src", found["src"]))
        elif tag in ("script", "style"):
            self._inside = f"{tag}-src"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.inline.append((self._inside, data))
        self._inside = ""


@pytest.mark.parametrize("path", ["/docs", "/swagger"])
def test_the_documentation_may_load_and_run_all_that_it_consists_of(
    reader: FlaskClient, path: str
) -> None:
    answer = reader.get(path)
    allowed = policy(answer)
    page = Page(answer.get_data(as_text=True))

    assert {kind for kind, _ in page.loaded} == {"script-src", "style-src", "img-src"}
    for kind, address in page.loaded:
        assert re.fullmatch(r"swagger/[\w./-]+", address)
        assert "'self'" in allowed[kind]
        assert reader.get(f"/{address}").status_code == 200
    assert [kind for kind, _ in page.inline] == ["style-src", "script-src"]
    for kind, text in page.inline:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed[kind]
    # Else its script adds a style of its own.
    assert "BaseLayout" in answer.text
    # It reads the document, sends requests, and has pictures in its style sheet.
    assert allowed["connect-src"] == {"'self'"}
    assert allowed["img-src"] == {"'self'", "data:"}
