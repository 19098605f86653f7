"""Jobs for the worker tests, and a worker in this process that can be disturbed at each slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from engine.train import HistoryRow, train
from service.common.settings import Settings
from service.store import jobs, owners, parameters
from service.store.owners import LOCAL, Owner
from service.store.tables import Job
from worker.run_job import Context, train_job, train_next

Hook = Callable[[int], bool]
"""Called at each slice with its number; True asks the worker to drain."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Every slice writes its progress: that of step 12, 24, … in `make_spec`."""
    return replace(settings, progress_seconds=1e-6, lease_seconds=5.0)


class Bench:
    """A database with jobs, and a worker to train them with."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session]) -> None:
        self.settings = settings
        self.sessions = sessions

    def submit(self, spec: JobSpec, owner: str = LOCAL) -> str:
        with self.sessions.begin() as session:
            owners.bind(session, Owner(owner))
            return jobs.create(session, spec).id

    def work(self, id: str, at_slice: Hook = lambda number: False, **changes: Any) -> None:
        """Lets a worker look at the job. The first call of the hook is before the claim."""
        train_job(self._context(at_slice, **changes), id)

    def work_next(self) -> None:
        """Lets a worker take the job whose turn it is."""
        train_next(self._context(lambda number: False))

    def _context(self, at_slice: Hook, **changes: Any) -> Context:
        slices = iter(range(1_000_000))
        return Context(
            settings=replace(self.settings, **changes),
            sessions=self.sessions,
            worker="bench:1",
            draining=lambda: at_slice(next(slices)),
        )

    def job(self, id: str) -> Job:
        with self.sessions.begin() as session:
            return jobs.get(session, id)

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.sessions.begin() as session:
            return [tuple(row) for row in session.execute(text(sql), values).all()]

    def change(self, sql: str, **values: Any) -> None:
        with self.sessions.begin() as session:
            session.execute(text(sql), values)

    def history(self, id: str) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT step, loss, accuracy, validation_loss, validation_accuracy, learning_rate, "
            "gradient_norm FROM history WHERE job = :pk ORDER BY step",
            pk=self.job(id).pk,
        )

    def checkpoints(self, id: str) -> list[int]:
        found = self.rows(
            "SELECT step FROM checkpoints WHERE job = :pk ORDER BY step", pk=self.job(id).pk
        )
        return [step for (step,) in found]

    def sha256(self, id: str) -> str:
        with self.sessions.begin() as session:
            return parameters.get(session, jobs.get(session, id)).sha256


@pytest.fixture
def bench(settings: Settings, sessions: sessionmaker[Session]) -> Bench:
    return Bench(settings, sessions)


def make_spec(steps: int = 600, **training: Any) -> JobSpec:
    """A job of a fraction of a second whose slices end at every 12th step."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "xor", "n_samples": 4},
            "model": {
                "layers": [{"units": 4, "activation": "tanh"}, {"units": 1}],
                "init": {"seed": 3},
            },
            "loss": {"kind": "mse", "l2": 1e-4},
            "optimizer": {"learning_rate": 0.05},
            "training": {"steps": steps, **training},
            "executor": "scalar",
        }
    )


@pytest.fixture(scope="session")
def spec() -> JobSpec:
    return make_spec()


class Undisturbed:
    """What a run of a specification gives when nothing happens to it."""

    def __init__(self, spec: JobSpec) -> None:
        self.history: list[HistoryRow] = []
        for progress in train(spec):
            self.history += progress.rows
            if progress.finished:
                self.parameters = progress.snapshot().parameters
        self.sha256 = parameters.pack(spec.sizes(), self.parameters).sha256


@pytest.fixture(scope="session")
def undisturbed(spec: JobSpec) -> Undisturbed:
    return Undisturbed(spec)
