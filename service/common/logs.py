"""Logs of the API, the workers and recovery: one JSON object per line, one line per event.

    {"time": "2026-01-31T12:00:00.000Z", "level": "INFO", "message": "job claimed",
     "request_id": "…", "job_id": "job_…", "worker": "host:42", "attempt": 1}

Facts are given as `extra` or bound for a while with `facts`, never formatted into the message,
so that a program can search for them.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "data", "taskName"}

_bound: ContextVar[Mapping[str, object]] = ContextVar("facts", default=MappingProxyType({}))


def bind(**facts: object) -> None:
    """Adds facts to every later event of this thread, in place of those bound before."""
    _bound.set(facts)


@contextmanager
def facts(**more: object) -> Iterator[None]:
    """Adds facts to every event of the block; those that are None are left out."""
    known = {name: fact for name, fact in more.items() if fact is not None}
    token = _bound.set({**_bound.get(), **known})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonFormatter(logging.Formatter):
    """One line of ASCII: whatever a message holds, it can neither break nor forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        given = {name: fact for name, fact in vars(record).items() if name not in _STANDARD}
        event |= {name: _plain(fact) for name, fact in {**_bound.get(), **given}.items()}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event)


def configure(level: int = logging.INFO) -> None:
    """Sends all logging of this process to standard error, one line per event."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    # Celery would add two lines per message, and Alembic two per look at the schema, that say
    # less than ours.
    for name in ("celery.worker.strategy", "celery.app.trace", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _time(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _plain(fact: object) -> object:
    """The fact if JSON can hold it, else its text."""
    if fact is None or isinstance(fact, str | int):
        return fact
    if isinstance(fact, float) and math.isfinite(fact):
        return fact
    return str(fact)
