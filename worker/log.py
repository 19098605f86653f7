"""One line an event: when, how grave, what, and the facts as `key=value`.

Facts are given as `extra`, never formatted into the message, so that another formatter can
write the same events as JSON.
"""

from __future__ import annotations

import json
import logging
import time

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "data", "taskName"}


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO job claimed job=job_… attempt=1`"""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        facts = (
            f" {key}={_text(value)}" for key, value in vars(record).items() if key not in _STANDARD
        )
        return super().formatMessage(record) + "".join(facts)


def _text(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else json.dumps(text)


def configure(level: int = logging.INFO) -> None:
    """Sends all logging of this process to standard error, one line an event."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # Celery's own two lines for each message would say less than ours and twice as often.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
