"""Behind a proxy with a path prefix links are right; what others send in its name is not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.api.app import create_app
from service.common.settings import Settings

PROXY = {"REMOTE_ADDR": "10.1.2.3"}
FORWARDED = {
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "ml.example.org",
    "X-Forwarded-Prefix": "/ml",
}


@pytest.fixture
def behind(settings: Settings) -> Iterator[FlaskClient]:
    """A client of the API; requests from 10/8 and fd00::/8 come through a proxy."""
    app = create_app(
        replace(settings, trusted_proxies="10.0.0.0/8,fd00::/8", allowed_hosts="ml.example.org")
    )
    yield app.test_client()
    app.extensions["gradserve"].close()


def test_links_have_the_prefix(behind: FlaskClient, moons: dict[str, Any]) -> None:
    def get(path: str) -> Any:
        return behind.get(path, headers=FORWARDED, environ_base=PROXY)

    parent = behind.post("/v1/jobs", json=moons, headers=FORWARDED, environ_base=PROXY)
    assert parent.status_code == 201
    assert parent.json is not None
    id = parent.json["id"]
    assert parent.headers["Location"] == f"/ml/v1/jobs/{id}"
    child = behind.post(
        "/v1/jobs", json=moons | {"parent_id": id}, headers=FORWARDED, environ_base=PROXY
    )
    assert child.json is not None
    assert child.json["links"]["parent"] == f"/ml/v1/jobs/{id}"
    assert all(link.startswith("/ml/v1/jobs/job_") for link in child.json["links"].values())
    assert get("/v1/jobs").json["items"][0]["links"] == child.json["links"]

    assert get("/openapi.json").json["servers"] == [{"url": "/ml"}]
    assert get("/").headers["Location"] == "/ml/docs"
    assert get("/v1/jobs/?limit=1").headers["Location"] == "/ml/v1/jobs?limit=1"
    assert "at /ml/nowhere; /ml/docs" in get("/nowhere").json["detail"]
    # The page names its files and the document relative to its own address.
    assert '"openapi.json"' in get("/docs").text


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("/ml/", "/ml"), ("ml", "/ml"), ("/a/b", "/a/b"), ("/m%C3%A9", "/m%C3%A9"), ("/", ""),
        ("//evil.example", "/evil.example"), ("/\\evil.example", ""), ("/\t/evil.example", ""),
        ("/a//b", ""), ("/ml?x=", ""), ("/ml#", ""), ("https://evil.example", ""), ("/é", ""),
    ],
)  # fmt: skip
def test_a_prefix_stays_on_this_host(behind: FlaskClient, given: str, prefix: str) -> None:
    headers = FORWARDED | {"X-Forwarded-Prefix": given}
    answer = behind.get("/", headers=headers, environ_base=PROXY)
    assert answer.headers["Location"] == f"{prefix}/docs"
    answer = behind.get("/docs/", headers=headers, environ_base=PROXY)
    assert answer.headers["Location"] == f"{prefix}/docs"


def test_the_host_that_the_proxy_was_called_by_is_the_one_that_counts(behind: FlaskClient) -> None:
    def post(**more: str) -> int:
        headers = FORWARDED | {"Host": "api:8000", **more}
        return behind.post("/v1/jobs", headers=headers, environ_base=PROXY).status_code

    assert post() == 415
    assert post(Origin="https://ml.example.org") == 415
    assert post(Origin="http://ml.example.org") == 403
    assert post(Origin="http://api:8000") == 403
    assert post(**{"X-Forwarded-Host": "evil.example"}) == 421
    assert post(**{"X-Forwarded-Port": "8443", "Origin": "https://ml.example.org:8443"}) == 415


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.1", "11.0.0.1", "::1", "", "unix:"])
def test_nobody_else_is_believed(behind: FlaskClient, peer: str) -> None:
    environ = {"REMOTE_ADDR": peer}
    answer = behind.get("/", headers=FORWARDED, environ_base=environ)
    assert answer.headers["Location"] == "/docs"
    evil = FORWARDED | {"Host": "evil.example"}
    assert behind.get("/", headers=evil, environ_base=environ).status_code == 421


def test_without_the_setting_nobody_is_believed(client: FlaskClient) -> None:
    assert client.get("/", headers=FORWARDED).headers["Location"] == "/docs"
    assert client.get("/openapi.json", headers=FORWARDED).json["servers"] == [{"url": "/"}]  # type: ignore[index]


def test_an_address_of_the_new_internet_can_be_a_proxy_as_well(behind: FlaskClient) -> None:
    answer = behind.get("/", headers=FORWARDED, environ_base={"REMOTE_ADDR": "fd00::1:2"})
    assert answer.headers["Location"] == "/ml/docs"
