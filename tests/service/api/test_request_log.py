"""Every request has an id and a line in the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session, sessionmaker

from service.store import claims


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "service")
    return caplog


def test_a_request_is_one_line(client: FlaskClient, lines: pytest.LogCaptureFixture) -> None:
    client.get("/v1/jobs?limit=1")
    client.get("/healthz")

    (record,) = lines.records
    assert record.getMessage() == "request"
    facts = vars(record)
    assert (facts["method"], facts["path"], facts["status"]) == ("GET", "/v1/jobs", 200)
    assert 0 < facts["seconds"] < 30


def test_the_caller_s_id_is_returned_and_stored_with_the_job(
    client: FlaskClient, sessions: sessionmaker[Session], moons: dict[str, Any]
) -> None:
    answer = client.post("/v1/jobs", json=moons, headers={"X-Request-Id": "order-7.a"})

    assert answer.headers["X-Request-Id"] == "order-7.a"
    with sessions.begin() as session:
        claim = claims.claim_next(session, worker="w", lease_seconds=20)
    assert claim is not None
    assert claim.request_id == "order-7.a"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'quote"', "é"])
def test_an_id_that_is_not_valid_is_replaced(client: FlaskClient, given: str) -> None:
    made = client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]

    assert len(made) == 32
    assert made != client.get("/healthz").headers["X-Request-Id"]


def test_refusals_have_an_id_too(client: FlaskClient) -> None:
    for answer in (
        client.get("/nowhere"),
        client.post("/v1/jobs", data="{", content_type="application/json"),
        client.post("/v1/jobs", data="{}", content_type="text/plain"),
    ):
        assert answer.status_code >= 400
        assert answer.headers["X-Request-Id"]
