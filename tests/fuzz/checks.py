"""What every answer must be, beside what Schemathesis checks; it loads this module by its name."""

from __future__ import annotations

import re
import secrets
from ipaddress import IPv6Address
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext
from schemathesis.core.transport import Response

from tests.fuzz.live import SECRET

# JSON pointers, RFC 6901.
POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*", re.DOTALL)
# What only the inside of the service knows.
INSIDE = re.compile(r'Traceback|File "|\.py\b|sqlalchemy|psycopg|sqlite3|gs_[0-9a-f]{8}_|/tmp/')
WITHOUT_PLACES = "urn:gradserve:problem:idempotency-conflict"


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Each request comes from an address of its own: one that tries many wrong keys is told 429.

    Hypothesis makes `random` begin anew with every example.
    """
    case.headers["X-Forwarded-For"] = str(IPv6Address(secrets.randbits(128)))


@schemathesis.check
def refusals_are_problems(ctx: CheckContext, response: Response, case: Case) -> None:
    """An error has problem details that name its kind, and the places where the request is wrong.

    HTTP gives the answer to a HEAD no body.
    """
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    assert response.headers["content-type"] == ["application/problem+json"], "not a problem"
    problem = response.json()
    assert problem["status"] == response.status_code, "the status differs from the problem's"
    assert problem["type"].startswith("urn:gradserve:problem:"), "the problem has no type"
    assert problem["title"], "the problem has no title"
    assert problem["detail"], "the problem has no detail"
    if response.status_code == 422 and problem["type"] != WITHOUT_PLACES:
        assert problem["errors"], "no place is named"
        for error in problem["errors"]:
            assert POINTER.fullmatch(error["pointer"]), "the place is not a JSON pointer"
            assert error["detail"], "a place without a sentence"


@schemathesis.check
def tells_nothing_of_others(ctx: CheckContext, response: Response, case: Case) -> None:
    """No answer holds anything of eve's, or of the inside of the service."""
    text = response.content.decode(errors="replace")
    assert SECRET not in text, "shows the job of another owner"
    found = INSIDE.search(text)
    sent = f"{response.request.url}{response.request.body!r}"
    assert found is None or found[0] in sent, f"shows the inside of the service: {found}"


@schemathesis.check
def has_the_headers_of_every_answer(ctx: CheckContext, response: Response, case: Case) -> None:
    assert response.headers.get("x-request-id"), "no X-Request-Id"
    assert response.headers.get("x-content-type-options") == ["nosniff"], "may be sniffed"
    assert "server" not in response.headers, "names the server's software"
