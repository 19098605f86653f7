from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta

from service.common import logs
from service.common.logs import JsonFormatter, facts


def event(message: str = "x", exc_info: object = None, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("service", logging.INFO, __file__, 1, message, (), None)
    vars(record).update(extra, exc_info=exc_info)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert "\n" not in line
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_an_event_has_time_level_message_and_its_facts() -> None:
    found = event("job claimed", job_id="job_1", attempt=2)

    at = datetime.fromisoformat(str(found.pop("time")))
    assert at.utcoffset() == timedelta(0)
    assert found == {"level": "INFO", "message": "job claimed", "job_id": "job_1", "attempt": 2}


def test_bound_facts_are_in_every_event_of_the_block_and_in_none_after_it() -> None:
    with facts(request_id="r1", job_id=None):
        with facts(worker="w1"):
            inner = event()
        outer = event(worker="mine")
    after = event()

    assert (inner["request_id"], inner["worker"]) == ("r1", "w1")
    assert "job_id" not in inner
    assert (outer["request_id"], outer["worker"]) == ("r1", "mine")
    assert "request_id" not in after


def test_binding_replaces_what_was_bound() -> None:
    with facts():  # all that is bound here ends with the block
        logs.bind(request_id="r1", worker="w1")
        logs.bind(request_id="r2")
        bound = event()
    assert bound["request_id"] == "r2"
    assert "worker" not in bound


def test_no_text_can_break_or_forge_a_line() -> None:
    forged = 'two\nlines\u2028 and {"level": "ERROR"} \ud800'

    found = event(forged, reason=forged)

    assert found["message"] == forged
    assert found["reason"] == forged


def test_what_json_cannot_hold_is_text() -> None:
    found = event(loss=float("nan"), path=ValueError("no"), steps=3)

    assert (found["loss"], found["path"], found["steps"]) == ("nan", "no", 3)


def test_a_traceback_stays_in_its_line() -> None:
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as error:
        found = event(exc_info=(type(error), error, error.__traceback__))

    assert "ZeroDivisionError: by zero" in str(found["exception"])
