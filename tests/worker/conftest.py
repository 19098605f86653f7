"""Jobs for the worker tests, and a worker in this process that a test can disturb at each slice."""

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
from service.store import jobs, parameters
from service.store.tables import Job
from worker.run_job import Context, train_job

Hook = Callable[[int], bool]
"""Called at each slice with its number; True asks the worker to drain."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which every slice writes its progress: at step 12, 24, … in `make_spec`."""
    return replace(settings, progress_seconds=1e-6, lease_seconds=5.0)


class Bench:
    """A database with jobs, and a worker to train them with."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session]) -> None:
        self.settings = settings
        self.sessions = sessions

    def submit(self, spec: JobSpec) -> str:
        with self.sessions.begin() as session:
            return jobs.create(session, spec).id

    def work(self, id: str, at_slice: Hook = lambda number: False, **changes: Any) -> None:
        """Lets a worker look at the job. The first call of the hook is before the claim."""
        slices = iter(range(1_000_000))
        context = Context(
            settings=replace(self.settings, **changes),
            sessions=self.sessions,
            worker="bench:1",
            draining=lambda: at_slice(next(slices)),
        )
        train_job(context, id)

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
    """A job that takes a fraction of a second and whose slices end at every 12th step."""
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
    """The results of an undisturbed run of a specification."""

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
