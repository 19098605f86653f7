"""The worker's heartbeat: while it takes messages, its event loop touches a file.

A worker that has lost its broker continues with its jobs, but its heartbeat stops until it is
connected again.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.bootsteps import StartStopStep

from service.common.heartbeat import beat

BEAT_SECONDS = 5.0
# A few beats may be late on a busy machine.
GOOD_FOR_SECONDS = 30.0


def install(app: Celery, file: str) -> None:
    """Adds the heartbeat to the steps that the consumer starts once it is connected."""

    class Heartbeat(StartStopStep):  # type: ignore[misc]  # celery ships no types
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def __init__(self, consumer: Any, **kwargs: Any) -> None:
            super().__init__(consumer, **kwargs)
            self._timer: Any = None

        def start(self, consumer: Any) -> None:
            beat(file, GOOD_FOR_SECONDS)
            self._timer = consumer.timer.call_repeatedly(
                BEAT_SECONDS, beat, (file, GOOD_FOR_SECONDS)
            )

        def stop(self, consumer: Any) -> None:
            if self._timer is not None:
                self._timer.cancel()

        shutdown = stop

    app.steps["consumer"].add(Heartbeat)
