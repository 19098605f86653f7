"""Idempotency keys are forgotten after a day."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.common.errors import IdempotencyConflict
from service.store import idempotency, jobs
from tests.service.lifecycle import at

Sessions = sessionmaker[Session]
DAY = 24 * 3600


def make(sessions: Sessions, spec: JobSpec, key: str, seconds: float) -> str:
    """Does the same as a POST with a key at this time."""
    with sessions.begin() as session:
        found = idempotency.find(session, key, "hash", now=at(seconds))
        if found is None:
            found = jobs.create(session, spec, now=at(seconds))
            idempotency.remember(session, key, "hash", found, now=at(seconds))
        return found.id


def test_a_key_lasts_a_day(sessions: Sessions, spec: JobSpec) -> None:
    first = make(sessions, spec, "k", 1000)
    assert make(sessions, spec, "k", 1000 + DAY) == first
    second = make(sessions, spec, "k", 1001 + DAY)
    assert second != first
    assert make(sessions, spec, "k", 1002 + DAY) == second


def test_another_request_with_the_key_is_refused(sessions: Sessions, spec: JobSpec) -> None:
    make(sessions, spec, "k", 1000)
    with pytest.raises(IdempotencyConflict), sessions.begin() as session:
        idempotency.find(session, "k", "other", now=at(1001))


def test_keys_that_expired_are_cleared_away_bit_by_bit(
    sessions: Sessions, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "CLEARED", 2)
    for i in range(5):
        make(sessions, spec, f"k{i}", 1000 + i)
    make(sessions, spec, "new", 2000 + DAY)
    with sessions.begin() as session:
        keys = session.execute(text("SELECT key FROM idempotency_keys ORDER BY key")).scalars()
        assert keys.all() == ["k2", "k3", "k4", "new"]
