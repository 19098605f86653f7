"""Who is let in: by a key, by a trusted proxy, or everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from service.api.app import create_app
from service.api.rate_limits import FAILURES
from service.common.settings import Settings
from service.run import keys
from service.store.connections import make_engine

SPEC = {
    "dataset": {"kind": "xor"},
    "model": {"layers": [{"units": 2, "activation": "tanh"}, {"units": 1}]},
    "loss": {"kind": "mse"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 5},
}


@pytest.fixture
def locked(settings: Settings) -> Settings:
    return replace(settings, auth="keys")


@pytest.fixture
def visitor(locked: Settings) -> Iterator[FlaskClient]:
    app = create_app(locked)
    yield app.test_client()
    app.extensions["gradserve"].close()


def make_key(settings: Settings, owner: str = "ada", **options: Any) -> str:
    options = {"scopes": ("read", "write"), "lifetime_seconds": None, "name": owner} | options
    return keys.create(settings, owner=owner, **options)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def change(settings: Settings, sql: str) -> None:
    engine = make_engine(settings, "migrate")
    with engine.begin() as connection:
        connection.execute(text(sql))
    engine.dispose()


def routes(settings: Settings) -> list[tuple[str, str]]:
    rules = create_app(settings).url_map.iter_rules()
    return [
        (method, re.sub(r"<[^>]+>", "x", rule.rule))
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]


def test_who_has_no_key_learns_how_to_get_one(visitor: FlaskClient) -> None:
    for path, basic in (("/nothing", False), ("/docs", True), ("/openapi.json", True)):
        answer = visitor.get(path)
        assert answer.status_code == 401
        challenges = ['Bearer realm="gradserve"']
        if basic:
            challenges.append('Basic realm="gradserve", charset="UTF-8"')
        assert answer.headers.getlist("WWW-Authenticate") == challenges
        assert "gradserve keys create" in answer.json["detail"]


def test_a_key_opens_what_its_scopes_allow(locked: Settings, visitor: FlaskClient) -> None:
    reader = bearer(make_key(locked, scopes=("read",)))
    writer = bearer(make_key(locked, scopes=("read", "write")))
    admin = bearer(make_key(locked, scopes=("admin",)))
    assert visitor.get("/v1/jobs", headers=reader).status_code == 200
    assert visitor.get("/docs", headers=reader).status_code == 200
    # A question, although it is sent with POST.
    asked = visitor.post("/v1/jobs/job_x/predict", json={"rows": []}, headers=reader)
    assert asked.json["type"] == "urn:gradserve:problem:job-not-found"
    assert visitor.post("/v1/jobs", json=SPEC, headers=writer).status_code == 201
    assert visitor.get("/metrics", headers=admin).status_code == 200
    for method, path, headers, scope in (
        ("POST", "/v1/jobs", reader, "write"),
        ("POST", "/v1/jobs/job_x/cancel", reader, "write"),
        ("POST", "/v1/jobs/job_x/predict", admin, "read"),
        ("GET", "/metrics", writer, "admin"),
        ("GET", "/v1/jobs", admin, "read"),
    ):
        answer = visitor.open(path, method=method, headers=headers)
        assert answer.status_code == 403
        assert answer.json["type"] == "urn:gradserve:problem:insufficient-scope"
        assert f'error="insufficient_scope", scope="{scope}"' in answer.headers["WWW-Authenticate"]


def test_a_browser_opens_the_page_with_a_key_as_password(
    locked: Settings, visitor: FlaskClient
) -> None:
    key = make_key(locked, scopes=("read",))
    refused = visitor.get("/docs")
    assert refused.status_code == 401
    assert "as the password" in refused.json["detail"]
    html = visitor.get("/docs", auth=("", key)).get_data(as_text=True)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(loaded) >= 4
    for path in ("/openapi.json", *(f"/{address}" for address in loaded)):
        assert visitor.get(path, auth=("anybody", key)).status_code == 200
    assert visitor.get("/docs", auth=(key, "")).status_code == 401
    assert visitor.get("/docs", auth=("", key[:-1])).status_code == 401
    assert visitor.get("/docs", auth=("", make_key(locked, scopes=("admin",)))).status_code == 403


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !", "Basic Og==", "Basic OgA=", "Basic " + "A" * 999]
)
def test_a_password_that_is_not_a_key_is_refused(visitor: FlaskClient, header: str) -> None:
    assert visitor.get("/docs", headers={"Authorization": header}).status_code == 401


def test_a_password_opens_nothing_that_another_site_could_misuse(
    locked: Settings, visitor: FlaskClient
) -> None:
    """Browsers repeat it by themselves, also in requests that another site makes."""
    key = make_key(locked, scopes=("read", "write", "admin"))
    pages = ("/docs", "/openapi.json", "/swagger", "/oauth2-redirect.html")
    for number, (method, path) in enumerate(routes(locked)):
        if path.startswith(pages) or path in ("/healthz", "/readyz"):
            continue
        address = {"REMOTE_ADDR": f"10.0.0.{number}"}
        answer = visitor.open(path, method=method, auth=("", key), environ_base=address)
        assert (path, answer.status_code) == (path, 401)
        assert "Basic" not in str(answer.headers.getlist("WWW-Authenticate"))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE api_keys SET revoked_at = 1",
        "UPDATE api_keys SET expires_at = 1",
        "UPDATE api_keys SET sha256 = 'another'",
        "DELETE FROM api_keys",
    ],
)
def test_a_key_that_has_ended_is_refused_at_once(
    locked: Settings, visitor: FlaskClient, sql: str
) -> None:
    key = make_key(locked, lifetime_seconds=100.0)
    assert visitor.get("/v1/jobs", headers=bearer(key)).status_code == 200
    change(locked, sql)
    answer = visitor.get("/v1/jobs", headers=bearer(key))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Bearer gs_", "Basic YTpi", "gs_12345678_" + "0" * 64,
        "Bearer gs_12345678_" + "0" * 64, "Bearer gs_12345678_" + "0" * 63, "Bearer é",
        "Bearer gs_12345678_" + "0" * 64 + "\x00", "Bearer ' OR 1=1 --",
    ],
)  # fmt: skip
def test_what_is_not_a_key_is_refused(visitor: FlaskClient, header: str) -> None:
    assert visitor.get("/v1/jobs", headers={"Authorization": header}).status_code == 401


def test_the_use_of_a_key_is_noted_and_its_secret_is_stored_nowhere(
    locked: Settings, visitor: FlaskClient
) -> None:
    key = make_key(locked)
    [before] = keys.everything(locked)
    assert before.last_used_at is None
    assert visitor.get("/v1/jobs", headers=bearer(key)).status_code == 200
    [after] = keys.everything(locked)
    assert after.last_used_at is not None
    secret = key.rpartition("_")[2]
    assert secret not in str(vars(after))


def test_a_peer_that_guesses_is_told_to_wait_and_a_good_key_still_works(
    locked: Settings, visitor: FlaskClient
) -> None:
    good = make_key(locked)
    wrong = bearer(good[:-1] + ("0" if good[-1] != "0" else "1"))
    statuses = [
        visitor.get("/v1/jobs", headers=wrong).status_code for _ in range(FAILURES.amount + 2)
    ]
    assert statuses == [401] * FAILURES.amount + [429] * 2
    refused = visitor.get("/v1/jobs", headers=wrong)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert visitor.get("/v1/jobs", headers=bearer(good)).status_code == 200
    other = visitor.get("/v1/jobs", headers=wrong, environ_base={"REMOTE_ADDR": "10.0.0.9"})
    assert other.status_code == 401


def test_a_trusted_proxy_names_the_user_and_nobody_else_does(settings: Settings) -> None:
    app = create_app(replace(settings, auth="proxy", trusted_proxies="10.1.0.0/16, ::1"))
    client = app.test_client()

    def get(address: str, user: str, path: str = "/v1/jobs") -> int:
        found = client.get(
            path, headers={"X-Forwarded-User": user}, environ_base={"REMOTE_ADDR": address}
        )
        return found.status_code

    assert get("10.1.2.3", "ada") == get("::ffff:10.1.2.3", "ada") == get("::1", "ada") == 200
    assert get("10.2.0.1", "ada") == get("", "ada") == 401
    assert get("10.1.2.3", "") == get("10.1.2.3", "a/../b") == 401
    assert get("10.1.2.3", "ada", "/metrics") == 403
    key = make_key(settings, scopes=("admin",))
    assert client.get("/metrics", headers=bearer(key)).status_code == 200
    app.extensions["gradserve"].close()


def test_an_app_that_nobody_told_where_it_listens_wants_keys(settings: Settings) -> None:
    app = create_app(replace(settings, auth="auto"))
    assert app.test_client().get("/v1/jobs").status_code == 401
    app.extensions["gradserve"].close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"auth": "open"}, "GRADSERVE_AUTH is 'open': it must be one of auto, keys, proxy, off"),
        ({"auth": "proxy"}, "GRADSERVE_TRUSTED_PROXIES must name the proxy's address"),
        ({"trusted_proxies": "10.0.0.300"}, "GRADSERVE_TRUSTED_PROXIES has the entry '10.0.0.300'"),
        ({"proxy_user_header": "X User"}, "must be the name of a header"),
    ],
)
def test_settings_that_let_in_the_wrong_people_are_refused(
    options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(Exception, match=re.escape(sentence)):
        Settings(**options)  # type: ignore[arg-type]
