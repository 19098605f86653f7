"""Who sent a request, and whether it may do what it asks.

    off     everybody is the owner `local`: for a service that only this machine reaches
    keys    `Authorization: Bearer gs_…` says whose request it is (a browser at /docs asks for it)
    proxy   a header of a trusted proxy names the user; keys work as well

Every request passes here before its view, which finds its owner in `service.api.context`.
"""

from __future__ import annotations

import time
from contextlib import suppress

from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from service.api.context import current
from service.api.problems import problem
from service.api.rate_limits import FailedTries
from service.api.routes import matched_pattern
from service.common.addresses import is_within
from service.common.errors import DatabaseUnavailable
from service.common.settings import Settings
from service.store import api_keys, everyone
from service.store.api_keys import USE_SECONDS, Caller
from service.store.owners import LOCAL, Owner

# Asked by supervisors and load balancers, which have no key; they tell nothing of anybody.
OPEN = frozenset({"/healthz", "/readyz"})
# Counts over everybody's jobs.
ADMIN = frozenset({"/metrics"})
READING = frozenset({"GET", "HEAD"})
# The page and what it loads. A browser cannot send a Bearer key by itself, so these also take HTTP
# Basic with the key as password. Nothing else does: browsers send such a password again by
# themselves, also for requests that another site makes.
PAGE = frozenset({"/docs", "/openapi.json", "/swagger", "/oauth2-redirect.html"})
PAGE_FILES = "/swagger/"
# Questions that are sent with POST because of their size; they change nothing.
QUESTIONS = frozenset({"/v1/jobs/{id}/predict"})

PROXY_SCOPES = frozenset({"read", "write"})


class Authentication:
    """Decides about each request of one app."""

    def __init__(self, settings: Settings) -> None:
        # Where nothing has looked at the address that the service listens on, it may be any.
        self.mode = "keys" if settings.auth == "auto" else settings.auth
        self._user_header = settings.proxy_user_header
        self._proxies = settings.proxy_networks
        self._failures = FailedTries()

    def check(self) -> Response | None:
        """Sets the owner of the request, or returns the answer that refuses it."""
        if self.mode == "off":
            g.owner = Owner(LOCAL)
            return None
        if request.path in OPEN or request.method == "OPTIONS":
            return None
        caller = self._caller()
        if caller is None:
            return self._refuse()
        scope = needed_scope(request.path, request.method)
        if scope not in caller.scopes:
            return forbidden(scope)
        g.owner = caller.owner
        return None

    def _caller(self) -> Caller | None:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return caller_of(key.strip())
        basic = request.authorization if kind.lower() == "basic" and is_page() else None
        if basic is not None:
            return caller_of(basic.password or "")
        user = request.headers.get(self._user_header, "") if self.mode == "proxy" else ""
        if user and is_within(peer(), self._proxies) and api_keys.NAME.fullmatch(user):
            return Caller(Owner(user), "", PROXY_SCOPES, None)
        return None

    def _refuse(self) -> Response:
        wait = self._failures.add(request.remote_addr or "unknown")
        if wait is not None:
            answer = problem(
                429,
                "too-many-failures",
                "Too many requests without a valid key",
                "wait a minute, then send `Authorization: Bearer gs_…` with a valid key",
            )
            answer.headers["Retry-After"] = str(wait)
            return answer
        given = "Authorization" in request.headers
        detail = (
            "the key is unknown, expired or revoked, or is not a key"
            if given
            else "this service needs a key: send `Authorization: Bearer gs_…`; "
            "`gradserve keys create` makes one"
        )
        if is_page():
            detail += "; in a browser give it as the password, with any name"
        answer = problem(401, "unauthorized", "A key is needed", detail)
        error = ', error="invalid_token"' if given else ""
        answer.headers["WWW-Authenticate"] = f'Bearer realm="gradserve"{error}'
        if is_page():
            answer.headers.add("WWW-Authenticate", 'Basic realm="gradserve", charset="UTF-8"')
        return answer


def register(app: Flask, settings: Settings) -> None:
    """Lets no request of the app pass by."""
    app.before_request(Authentication(settings).check)


def is_page() -> bool:
    """Whether the request is for the page at /docs or what it loads."""
    return request.path in PAGE or request.path.startswith(PAGE_FILES)


def sender() -> str:
    """Whose request it is: its owner, or the peer's address where nobody is authenticated."""
    if current().settings.auth == "off":
        return f"address {request.remote_addr or 'unknown'}"
    return f"owner {g.get('owner', LOCAL)}"


def needed_scope(path: str, method: str) -> str:
    """The scope that a request needs."""
    if path in ADMIN:
        return "admin"
    return "read" if method in READING or matched_pattern() in QUESTIONS else "write"


def caller_of(key: str) -> Caller | None:
    """Whose key it is; None where nobody may come in with it."""
    database = current().database
    with everyone.read(database) as session:
        caller = api_keys.find(session, key)
    if caller is not None and time.time() - (caller.last_used_at or 0) > USE_SECONDS:
        # A database that takes no writes just now need not refuse a read.
        with (
            suppress(SQLAlchemyError, DatabaseUnavailable),
            everyone.write(database) as session,
        ):
            api_keys.note_use(session, caller.prefix)
    return caller


def peer() -> str:
    """The address that the connection really came from, whatever a header says."""
    original = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    return str(original.get("REMOTE_ADDR", ""))


def forbidden(scope: str) -> Response:
    answer = problem(
        403,
        "insufficient-scope",
        "The key does not allow this",
        f"a key of scope {scope} is needed",
    )
    answer.headers["WWW-Authenticate"] = (
        f'Bearer realm="gradserve", error="insufficient_scope", scope="{scope}"'
    )
    return answer
