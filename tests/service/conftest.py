"""Fixtures of the service's tests: a specification, and ways to bring a job into a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.store import claims, jobs
from service.store.claims import Claim
from tests.service.lifecycle import LEASE


@pytest.fixture
def moons() -> dict[str, Any]:
    """A job of ten steps, as a client sends it."""
    return {
        "name": "moons",
        "dataset": {"kind": "moons", "n_samples": 20, "seed": 1},
        "model": {"layers": [{"units": 2, "activation": "relu"}, {"units": 1}]},
        "loss": {"kind": "max_margin"},
        "optimizer": {"learning_rate": 0.5},
        "training": {"steps": 10},
    }


@pytest.fixture
def spec(moons: dict[str, Any]) -> JobSpec:
    return JobSpec.model_validate(moons)


@pytest.fixture
def submit(sessions: sessionmaker[Session], spec: JobSpec) -> Callable[[], str]:
    """Stores a job and returns its id."""

    def submit() -> str:
        with sessions.begin() as session:
            return jobs.create(session, spec).id

    return submit


@pytest.fixture
def claim(sessions: sessionmaker[Session], submit: Callable[[], str]) -> Callable[..., Claim]:
    """Claims a job: the one with the given id, or else a new one."""

    def claim(
        id: str | None = None, *, worker: str = "w1", lease: float = LEASE, **options: Any
    ) -> Claim:
        with sessions.begin() as session:
            made = claims.claim(
                session, id or submit(), worker=worker, lease_seconds=lease, **options
            )
        assert made is not None
        return made

    return claim
