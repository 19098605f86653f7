"""Runs a program of the service so that tests can strike it at chosen points.

    python -m tests.faults.saboteur celery --app worker.app worker …

The program is the one that runs in production. The functions it calls are wrapped here, because
production code has no switch for any of this. A test arms a point by writing a file
(`tests.faults.points`). The first process that reaches the point removes the file and performs
the action in it.

The name of a job can ask for more. `poison` kills the process that trains the job. `slow:5` takes
five seconds for the first slice. `pace:0.05` sleeps 0.05 s after each slice, so that many jobs
can run at once on a few cores for as long as a test needs.
"""

from __future__ import annotations

import functools
import os
import runpy
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

import engine.train
from engine.spec import JobSpec
from service.common import messages
from service.store import (
    checkpoints,
    claims,
    clock,
    controls,
    history,
    jobs,
    parameters,
    recovery,
)
from service.store.claims import Claim
from service.store.clock import DatabaseTime
from tests.faults import audit, points, unfenced

# The functions that read and write, by the name of their points: `.before`, `.after`, `.committed`.
REPOSITORY: dict[str, tuple[Any, str]] = {
    "claim": (claims, "claim"),
    "progress": (claims, "record_progress"),
    "renew": (claims, "renew_lease"),
    "succeed": (claims, "succeed"),
    "fail": (claims, "fail"),
    "release": (claims, "release"),
    "insert": (history, "insert_rows"),
    "checkpoint": (checkpoints, "add"),
    "result": (parameters, "store"),
    "free": (recovery, "free_lost_leases"),
    "mark": (recovery, "publish_again"),
    "create": (jobs, "create"),
    "cancel": (controls, "request_cancel"),
}


def reach(point: str, session: Session | None = None) -> None:
    """Performs the action that the test has armed at this point, if any."""
    action = points.take(point)
    if action is not None:
        ACTIONS[action](session)


def lose_answer(_: Session | None) -> None:
    """Raises the error of a driver whose connection breaks between the COMMIT and its answer."""
    raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))


def outstay(session: Session | None) -> None:
    """Stays idle in a transaction until Postgres ends it."""
    assert session is not None
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20ms'"))
    time.sleep(0.3)


ACTIONS: dict[str, Callable[[Session | None], None]] = {
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "freeze": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "lose answer": lose_answer,
    "outstay": outstay,
}


def wrap_repository(name: str, module: Any, function: str) -> None:
    wrapped = getattr(module, function)

    @functools.wraps(wrapped)
    def wrapper(session: Session, *args: Any, **options: Any) -> Any:
        reach(f"{name}.before", session)
        claim = args[0] if args and isinstance(args[0], Claim) else None
        with audit.writing_as(session, claim.fence) if claim else nullcontext():
            value = wrapped(session, *args, **options)
        reach(f"{name}.after", session)
        event.listen(session, "after_commit", lambda _: reach(f"{name}.committed"), once=True)
        return value

    setattr(module, function, wrapper)


def wrap_publish() -> None:
    publish = messages.publish

    @functools.wraps(publish)
    def wrapper(*args: Any) -> None:
        reach("publish.before")
        publish(*args)
        reach("publish.after")

    messages.publish = wrapper


def wrap_train() -> None:
    train = engine.train.train

    @functools.wraps(train)
    def wrapper(spec: JobSpec, *args: Any) -> Iterator[Any]:
        what, _, seconds = (spec.name or "").partition(":")
        if what == "slow":
            time.sleep(float(seconds))
        for progress in train(spec, *args):
            if what == "poison":
                ACTIONS["kill"](None)
            yield progress
            if what == "pace":
                time.sleep(float(seconds))

    engine.train.train = wrapper


def wrap_clock() -> None:
    """All times come from the database's clock; here it is `audit_clock.ahead` fast."""
    for dialect, sql in (
        ("sqlite", clock._sqlite_time),
        ("postgresql", clock._postgres_time),
    ):

        def compile_time(*args: Any, sql: Any = sql, **options: Any) -> str:
            return f"({sql(*args, **options)} + (SELECT ahead FROM audit_clock))"

        compiles(DatabaseTime, dialect)(compile_time)


def limit_pages() -> None:
    """Lets SQLite refuse to grow its file, as on a full disk."""

    @event.listens_for(Engine, "begin")
    def limit(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA max_page_count = {points.page_limit()}")


def start_cold() -> None:
    """Lets a worker become ready without importing scikit-learn and loading compiled kernels."""
    import worker.app

    worker.app.WARM_UP |= {"dataset": {"kind": "xor", "n_samples": 4}, "executor": "scalar"}


def main() -> None:
    for name, (module, function) in REPOSITORY.items():
        wrap_repository(name, module, function)
    wrap_publish()
    wrap_train()
    wrap_clock()
    limit_pages()
    without = os.environ.get("GRADSERVE_TEST_UNFENCED")
    if without:
        unfenced.remove(without)
    program = sys.argv[1]
    if program == "celery" and os.environ.get("GRADSERVE_TEST_COLD"):
        start_cold()
    sys.argv = sys.argv[1:]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
