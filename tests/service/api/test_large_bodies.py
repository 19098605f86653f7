"""Only a few large bodies are read at the same time, so that the API's memory stays bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.api import json_bodies
from service.api.app import create_app
from service.common.settings import Settings


def large(moons: dict[str, Any]) -> dict[str, Any]:
    return moons | {"name": "x" * json_bodies.LARGE_BYTES}


def test_a_large_body_waits_for_its_turn_and_gives_it_back(
    settings: Settings, moons: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_bodies, "TURN_SECONDS", 0.1)
    client = create_app(replace(settings, max_large_bodies=3)).test_client()
    for _ in range(6):
        assert client.post("/v1/jobs", json=large(moons)).status_code == 422
    turns = client.application.extensions[json_bodies.TURNS]
    for _ in range(3):
        assert turns.acquire(blocking=False)
    refused = client.post("/v1/jobs", json=large(moons))
    assert (refused.status_code, refused.mimetype) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0
    assert client.post("/v1/jobs", json=moons).status_code == 201
    turns.release()
    assert client.post("/v1/jobs", json=large(moons)).status_code == 422
