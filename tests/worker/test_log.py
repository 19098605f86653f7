from __future__ import annotations

import logging
import re

from worker.log import LineFormatter


def line(message: str, **facts: object) -> str:
    record = logging.LogRecord("worker", logging.INFO, __file__, 1, message, (), None)
    vars(record).update(facts)
    return LineFormatter().format(record)


def test_an_event_is_one_line_with_its_facts() -> None:
    text = line("job claimed", job="job_1", attempt=2)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO job claimed job=job_1 attempt=2", text
    )


def test_a_fact_with_spaces_or_line_breaks_is_quoted() -> None:
    assert line("x", reason="two\nlines here").endswith(r'reason="two\nlines here"')
