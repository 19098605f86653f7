"""Jobs for the worker tests, a worker in this process that can be disturbed at each slice, and
workers as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from engine.train import HistoryRow, train
from service.api.app import create_app
from service.common.messages import make_publisher, try_publish
from service.common.settings import Settings
from service.run import programs
from service.run.supervisor import Part
from service.store import jobs, owners, parameters
from service.store.connections import make_engine, make_sessions
from service.store.owners import LOCAL, Owner
from service.store.tables import Job
from tests import servers
from tests.processes import until
from worker.run_job import Context, train_job, train_next

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

    def submit(self, spec: JobSpec, owner: str = LOCAL) -> str:
        with self.sessions.begin() as session:
            owners.bind(session, Owner(owner))
            return jobs.create(session, spec).id

    def work(self, id: str, at_slice: Hook = lambda number: False, **changes: Any) -> None:
        """Lets a worker look at the job. The first call of the hook is before the claim."""
        train_job(self._context(at_slice, **changes), id)

    def work_next(self, **changes: Any) -> None:
        """Lets a worker take the job whose turn it is."""
        train_next(self._context(lambda number: False, **changes))

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


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Start]:
    """Starts workers, of two pool processes unless told otherwise; they are gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(settings: Settings, part: Part | None = None) -> subprocess.Popen[bytes]:
        environ = {
            "GRADSERVE_DATABASE_URL": settings.database_url,
            "GRADSERVE_BROKER_URL": settings.broker_url,
            "GRADSERVE_PROGRESS_SECONDS": "0.05",
            "GRADSERVE_LEASE_SECONDS": str(settings.lease_seconds),
        }
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                (part or programs.worker(2)).argv,
                env=os.environ | environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=servers.die_with_parent(signal.SIGKILL),
            )
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def sqlite_bench(sqlite_database: str, broker: str, tmp_path: Path) -> Iterator[Bench]:
    """For what does not depend on the kind of database."""
    settings = Settings(
        database_url=sqlite_database, broker_url=broker, data_dir=str(tmp_path), lease_seconds=5.0
    )
    engine = make_engine(settings, "worker")
    sessions: sessionmaker[Session] = make_sessions(engine)
    yield Bench(settings, sessions)
    engine.dispose()


@pytest.fixture
def sqlite_client(sqlite_bench: Bench) -> Iterator[FlaskClient]:
    """A client of the API on the same database."""
    app = create_app(replace(sqlite_bench.settings, auth="off"))
    yield app.test_client()
    app.extensions["gradserve"].close()


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    return lambda: (tmp_path / "worker.log").read_text()


def publish(settings: Settings, id: str) -> None:
    publisher = make_publisher(settings)
    assert try_publish(publisher, id)
    publisher.close()


def wait_for_state(bench: Bench, id: str, state: str, seconds: float = 120) -> None:
    until(lambda: bench.job(id).state == state, seconds, f"{id} {state}")
