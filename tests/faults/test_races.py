"""A cancellation and the end of a job in the same moment: exactly one of them wins.

GRADSERVE_TEST_RACES sets the number of races.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.common.errors import InvalidTransition
from service.common.settings import Settings
from service.store import controls, jobs
from service.store.connections import make_engine, make_sessions
from tests.faults import oracle
from tests.faults.specs import make_tiny_spec
from worker.run_job import Context, train_job

RACES = int(os.environ.get("GRADSERVE_TEST_RACES", "100"))


@pytest.fixture
def settings(audited: str) -> Settings:
    return Settings(database_url=audited)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings, "api")
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


def test_f15_a_cancel_that_races_completion_wins_or_is_refused(
    settings: Settings, sessions: sessionmaker[Session]
) -> None:
    spec = make_tiny_spec()
    context = Context(
        settings=settings, sessions=sessions, worker="racer:1", draining=lambda: False
    )
    start = threading.Barrier(2)

    def cancel(id: str, delay: float) -> bool:
        start.wait()
        time.sleep(delay)
        try:
            with sessions.begin() as session:
                controls.request_cancel(session, id)
        except InvalidTransition:
            return False
        return True

    ids = []
    outcomes: Counter[tuple[bool, str]] = Counter()
    delay = 0.001
    with ThreadPoolExecutor(1) as canceller:
        for _ in range(RACES):
            with sessions.begin() as session:
                ids.append(jobs.create(session, spec).id)
            accepted = canceller.submit(cancel, ids[-1], delay)
            start.wait()
            train_job(context, ids[-1])
            won = accepted.result()
            with sessions.begin() as session:
                state = jobs.get(session, ids[-1]).state
            outcomes[won, state] += 1
            # Moves the delay towards the moment at which either of them may win.
            delay = delay * 1.2 if won else delay / 1.2

    assert set(outcomes) == {(True, "cancelled"), (False, "succeeded")}, outcomes
    with sessions.begin() as session:
        oracle.assert_kept(session, ids)
