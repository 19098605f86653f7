"""Who may do what: every route, method and kind of key, with a body where one is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.api.app import create_app
from service.common.settings import Settings
from tests.service.api.test_auth import SPEC, bearer, change, make_key

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Use:
    """How a route is used well: the status of each method, and the body of those that take one.

    `foreign` is the status for a key of all scopes whose owner has no such job or data set.
    `state` is that of the job which the path names, or `stored` for a data set.
    """

    statuses: Mapping[str, int]
    body: Mapping[str, Any] | None = None
    foreign: int | None = None
    scope: str = "read"
    state: str = "queued"


def reading(status: int = 200, **more: Any) -> Use:
    return Use({"GET": status, "HEAD": status}, **more)


# Every route stands here, or the walk fails.
USES: dict[str, Use] = {
    "/": reading(302),
    "/docs": reading(),
    "/openapi.json": reading(),
    "/swagger": reading(),
    "/static/<path:filename>": reading(404),
    "/swagger/<path:filename>": reading(404),
    "/oauth2-redirect.html": reading(),
    "/healthz": reading(scope=""),
    "/readyz": reading(scope=""),
    "/metrics": reading(scope="admin"),
    "/v1/jobs": Use({"GET": 200, "HEAD": 200, "POST": 201}, body=SPEC),
    "/v1/jobs/<string:id>": Use(
        {"GET": 200, "HEAD": 200, "DELETE": 204}, foreign=404, state="cancelled"
    ),
    "/v1/jobs/<string:id>/cancel": Use({"POST": 200}, foreign=404),
    "/v1/jobs/<string:id>/pause": Use({"POST": 200}, foreign=404),
    "/v1/jobs/<string:id>/resume": Use({"POST": 200}, foreign=404, state="paused"),
    "/v1/jobs/<string:id>/history": reading(foreign=404),
    "/v1/jobs/<string:id>/parameters": reading(409, foreign=404),
    "/v1/jobs/<string:id>/model": reading(409, foreign=404),
    "/v1/jobs/<string:id>/plots/<string:kind>.svg": reading(foreign=404),
    "/v1/jobs/<string:id>/graph": reading(409, foreign=404),
    "/v1/jobs/<string:id>/events": reading(foreign=404),
    "/v1/datasets": Use({"GET": 200, "HEAD": 200, "POST": 201}, body={"kind": "xor"}),
    "/v1/datasets/<string:id>": Use(
        {"GET": 200, "HEAD": 200, "DELETE": 204}, foreign=404, state="stored"
    ),
    "/v1/datasets/<string:id>/rows": reading(foreign=404, state="stored"),
}
BODIES = {(path, "POST") for path, use in USES.items() if use.body is not None}

# By name, the owner and the scopes of a key.
KEYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ada reads": ("ada", ("read",)),
    "ada writes": ("ada", ("write",)),
    "ada reads and writes": ("ada", ("read", "write")),
    "ada's admin": ("ada", ("admin",)),
    "ada may do all": ("ada", ("read", "write", "admin")),
    "bob may do all": ("bob", ("read", "write", "admin")),
    "revoked": ("ada", ("read", "write", "admin")),
    "expired": ("ada", ("read", "write", "admin")),
}
NO_KEYS = ("none", "unknown", "revoked", "expired")


class Callers:
    """A service that wants keys, and headers for each name of KEYS and NO_KEYS."""

    def __init__(self, client: FlaskClient, settings: Settings) -> None:
        self.client = client
        made = {
            name: make_key(settings, owner, scopes=scopes) for name, (owner, scopes) in KEYS.items()
        }
        for name, column in (("revoked", "revoked_at"), ("expired", "expires_at")):
            prefix = made[name].split("_")[1]
            change(settings, f"UPDATE api_keys SET {column} = 1 WHERE prefix = '{prefix}'")
        self.headers = {name: bearer(key) for name, key in made.items()}
        self.headers |= {"none": {}, "unknown": bearer(f"gs_{'0' * 8}_{'0' * 64}")}

    def job(self, state: str) -> str:
        """The id of a new job of ada's in this state, or of a new data set."""
        ada = self.headers["ada reads and writes"]
        if state == "stored":
            return str(
                self.client.post("/v1/datasets", json={"kind": "xor"}, headers=ada).json["id"]
            )
        id = self.client.post("/v1/jobs", json=SPEC, headers=ada).json["id"]
        action = {"queued": "", "paused": "pause", "cancelled": "cancel"}[state]
        if action:
            self.client.post(f"/v1/jobs/{id}/{action}", headers=ada)
        return str(id)


@pytest.fixture
def callers(sqlite_database: str, broker: str, tmp_path: Path) -> Iterator[Callers]:
    locked = Settings(
        database_url=sqlite_database, broker_url=broker, data_dir=str(tmp_path), auth="keys"
    )
    app = create_app(locked)
    yield Callers(app.test_client(), locked)
    app.extensions["gradserve"].close()


def expected(use: Use, method: str, name: str) -> int:
    """The status of a request with the key of this name."""
    if method != "OPTIONS" and use.scope:
        if name in NO_KEYS:
            return 401
        owner, scopes = KEYS[name]
        needed = use.scope if use.scope == "admin" or method in READS else "write"
        if needed not in scopes:
            return 403
        if owner != "ada" and method in use.statuses and use.foreign:
            return use.foreign
    if method == "OPTIONS":
        return 200
    return use.statuses.get(method, 405)


def walk(callers: Callers, differs: Callable[[str], None]) -> int:
    """Sends every method to every route with every key; returns how many requests that are."""
    names = [*KEYS, *(name for name in NO_KEYS if name not in KEYS)]
    sent = 0
    unchanged = {state: callers.job(state) for state in ("queued", "stored")}
    for rule in callers.client.application.url_map.iter_rules():
        use = USES[rule.rule]
        for method in METHODS:
            for name in names:
                right = expected(use, method, name)
                path = rule.rule.replace("<path:filename>", "nothing")
                path = path.replace("<string:kind>", "loss")
                if "<string:id>" in path:
                    changes = right < 300 and method not in READS
                    same = unchanged.get(use.state, unchanged["queued"])
                    id = callers.job(use.state) if changes else same
                    path = path.replace("<string:id>", id)
                sent += 1
                answer = callers.client.open(
                    path,
                    method=method,
                    json=use.body if method in ("POST", "PUT", "PATCH") else None,
                    headers=callers.headers[name],
                    environ_base={"REMOTE_ADDR": f"10.0.{sent // 250}.{sent % 250}"},
                )
                if answer.status_code != right:
                    differs(f"{name}: {method} {path}: {answer.status_code}, not {right}")
                if right == 401 and "Bearer realm" not in answer.headers["WWW-Authenticate"]:
                    differs(f"{name}: {method} {path}: does not say how to send a key")
                if answer.status_code >= 400 and answer.mimetype != "application/problem+json":
                    differs(f"{name}: {method} {path}: {answer.mimetype} as a refusal")
    return sent


def test_every_route_has_its_use_and_every_body_that_it_takes() -> None:
    app = create_app(Settings(auth="off"))
    assert {rule.rule for rule in app.url_map.iter_rules()} == set(USES)
    with app.test_request_context():
        document = app.view_functions["openapi"]().json
    taken = {
        (path.replace("{id}", "<string:id>"), method.upper())
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert taken == BODIES


def test_every_key_does_what_it_is_for_and_nothing_else(callers: Callers) -> None:
    mistakes: list[str] = []
    sent = walk(callers, mistakes.append)
    assert not mistakes, "\n".join(mistakes)
    assert sent >= len(USES) * len(METHODS) * (len(KEYS) + 2)
