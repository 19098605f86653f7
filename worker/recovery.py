"""Recovery: frees jobs whose worker is gone and rings again for those that wait.

    python -m worker.recovery

A small loop in a process of its own, so that it never waits behind hour-long jobs. Two of them
do no harm. It keeps no state: whatever it misses while the database or the broker is away, the
next pass finds.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service.common import logs
from service.common.errors import ConfigError
from service.common.heartbeat import beat
from service.common.messages import make_publisher, send, waiting
from service.common.settings import Settings
from service.store import recovery
from service.store.connections import make_engine, make_sessions
from worker.retries import UNREACHABLE, reason

log = logging.getLogger(__name__)

# Jobs freed or rung at one time. As long as this many messages wait, the workers have enough.
BATCH = 100
LONGEST_PAUSE_SECONDS = 10.0
# One pass may wait this long for database and broker.
LONGEST_RECOVERY_SECONDS = 30.0


class RecoveryLoop:
    """One look at the tables after the other."""

    def __init__(
        self, settings: Settings, sessions: sessionmaker[Session], publisher: Celery
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._publisher = publisher
        self._broker_away = False
        self._broker_refuses = False

    def recover(self) -> None:
        """Frees what is lost, then rings for what waits.

        Raises:
            OperationalError, InterfaceError, InternalError, TimeoutError: the database does not
                answer.
        """
        self.free()
        self.publish_again()

    def free(self) -> list[str]:
        """Takes jobs from workers that were not heard of for a lease; returns their ids."""
        with self._sessions.begin() as session:
            freed = recovery.free_lost_leases(
                session, lease_seconds=self._settings.lease_seconds, limit=BATCH
            )
        for id in freed:
            log.warning("lease lost", extra={"job_id": id})
        return freed

    def publish_again(self) -> list[str]:
        """Sends messages for queued jobs whose last one seems lost; returns their ids.

        Jobs count as rung only when the broker was there a moment ago: an outage costs no job
        its turn.
        """
        already = waiting(self._publisher)
        self._note_broker(away=already is None)
        if already is None or already >= BATCH:
            return []
        with self._sessions.begin() as session:
            ids = recovery.to_ring(
                session, republish_seconds=self._settings.republish_seconds, limit=BATCH - already
            )
        rung = [id for id in ids if self._send(id)]
        if rung:
            log.info("rang again", extra={"jobs": len(rung), "first": rung[0]})
        return rung

    def beat(self, pause: float) -> None:
        """Says that the loop goes on, for longer than a pause and a slow pass."""
        beat(self._settings.heartbeat_file, pause + LONGEST_RECOVERY_SECONDS)

    def _send(self, id: str) -> bool:
        try:
            send(self._publisher, id)
        except OperationalError as error:
            # It counts its messages and takes none: out of memory, say.
            if not self._broker_refuses:
                log.warning("broker takes no messages", extra={"reason": str(error)})
            self._broker_refuses = True
            return False
        if self._broker_refuses:
            log.info("broker takes messages again")
        self._broker_refuses = False
        return True

    def _note_broker(self, *, away: bool) -> None:
        if away is not self._broker_away:
            self._broker_away = away
            if away:
                log.warning("broker does not answer")
            else:
                log.info("broker answers again")


def run(loop: RecoveryLoop, seconds: float, stop: threading.Event) -> None:
    """Looks every `seconds` until told to stop, less often while the database is away."""
    pause = seconds
    while not stop.is_set():
        try:
            loop.recover()
            pause = seconds
        except UNREACHABLE as error:
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            log.warning("database does not answer", extra={"reason": reason(error)})
        loop.beat(pause)
        stop.wait(pause)


def main() -> int:
    try:
        settings = Settings.from_env(os.environ)
    except ConfigError as error:
        print(f"gradserve recovery: {error}", file=sys.stderr)
        return 1
    logs.configure()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sessions = make_sessions(make_engine(settings, "recovery"))
    log.info("recovery started", extra={"every": settings.recovery_seconds})
    run(RecoveryLoop(settings, sessions, make_publisher(settings)), settings.recovery_seconds, stop)
    log.info("recovery stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
