"""Only a few large bodies are read at the same time, so that the API's memory stays bounded."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from service.api import json_bodies


def large(moons: dict[str, Any]) -> dict[str, Any]:
    return moons | {"name": "x" * json_bodies.LARGE_BYTES}


def test_a_large_body_waits_for_its_turn_and_gives_it_back(
    client: FlaskClient, moons: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_bodies, "TURN_SECONDS", 0.1)
    for _ in range(2 * json_bodies.LARGE_AT_ONCE):
        assert client.post("/v1/jobs", json=large(moons)).status_code == 422
    turns = client.application.extensions[json_bodies.TURNS]
    for _ in range(json_bodies.LARGE_AT_ONCE):
        assert turns.acquire(blocking=False)
    refused = client.post("/v1/jobs", json=large(moons))
    assert (refused.status_code, refused.mimetype) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0
    assert client.post("/v1/jobs", json=moons).status_code == 201
    turns.release()
    assert client.post("/v1/jobs", json=large(moons)).status_code == 422
