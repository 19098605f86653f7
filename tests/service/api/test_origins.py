"""Pages of other origins can change nothing, unless they are allowed."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from service.api.app import create_app
from service.common.settings import Settings

PAGE = "https://app.example.org"
UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "PURGE"]


@pytest.fixture(scope="module")
def closed() -> FlaskClient:
    return create_app(Settings(auth="off", allowed_hosts="ml.example.org")).test_client()


@pytest.fixture(scope="module")
def opened() -> FlaskClient:
    settings = Settings(auth="off", cors_origins=f"{PAGE}:443, http://localhost:3000")
    return create_app(settings).test_client()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "file://localhost"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "something-new"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/job_x/predict", "/healthz", "/nowhere"])
def test_what_a_foreign_page_wants_changed_is_forbidden(
    closed: FlaskClient, headers: dict[str, str], path: str
) -> None:
    for method in UNSAFE:
        answer = closed.open(path, method=method, headers=headers)
        assert answer.status_code == 403
        assert answer.mimetype == "application/problem+json"
        assert answer.json is not None
        assert "GRADSERVE_CORS_ORIGINS" in answer.json["detail"]
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("localhost:8000", {}),
        ("localhost:8000", {"Origin": "http://localhost:8000"}),
        ("localhost:8000", {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}),
        ("localhost:8000", {"Sec-Fetch-Site": "none"}),
        ("LOCALHOST:80", {"Origin": "http://localhost"}),
        # Behind a proxy that ends TLS.
        ("ml.example.org", {"Origin": "https://ml.example.org"}),
        ("ml.example.org:443", {"Origin": "https://ml.example.org"}),
        ("ml.example.org:8443", {"Origin": "https://ml.example.org:8443"}),
    ],
)
def test_its_own_pages_and_other_programs_may_change_things(
    closed: FlaskClient, host: str, headers: dict[str, str]
) -> None:
    # That the type is wrong is found out where the body is read.
    answer = closed.post("/v1/jobs", data="x", headers={"Host": host, **headers})
    assert answer.status_code == 415


def test_an_insecure_page_is_foreign_to_the_secure_service(closed: FlaskClient) -> None:
    def post(origin: str) -> int:
        return closed.post(
            "/v1/jobs", headers={"Origin": origin}, base_url="https://localhost"
        ).status_code

    assert post("http://localhost") == 403
    assert post("https://localhost") == 415


def test_reading_is_not_refused_but_not_shared_either(closed: FlaskClient) -> None:
    headers = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = closed.open("/healthz", method=method, headers=headers)
        assert answer.status_code == 200
        assert not any(name.startswith("Access-Control-") for name, _ in answer.headers)


def preflight(client: FlaskClient, origin: str) -> dict[str, str]:
    wanted = {"Access-Control-Request-Method": "POST", "Origin": origin}
    answer = client.options("/v1/jobs", headers=wanted)
    return {k: v for k, v in answer.headers.items() if k.startswith("Access-Control-")}


def test_an_allowed_page_is_told_so(opened: FlaskClient) -> None:
    for origin in (PAGE, "http://localhost:3000"):
        told = preflight(opened, origin)
        assert told["Access-Control-Allow-Origin"] == origin
        assert "POST" in told["Access-Control-Allow-Methods"]
        assert "Idempotency-Key" in told["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in told

        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        for answer, status in (
            (opened.get("/healthz", headers=headers), 200),
            (opened.get("/nowhere", headers=headers), 404),
            (opened.post("/v1/jobs", data="x", headers=headers), 415),
        ):
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
            assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", f"{PAGE}.evil.example", "http://app.example.org", f"{PAGE}:1"],
)
def test_other_pages_are_told_nothing(opened: FlaskClient, origin: str) -> None:
    assert preflight(opened, origin) == {}
    assert "Origin" in opened.get("/healthz", headers={"Origin": origin}).headers["Vary"]
    assert opened.post("/v1/jobs", headers={"Origin": origin}).status_code == 403


def test_without_the_setting_no_preflight_is_answered(closed: FlaskClient) -> None:
    assert preflight(closed, PAGE) == {}
    assert preflight(closed, "http://localhost") == {}
