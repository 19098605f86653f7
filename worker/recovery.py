"""Recovery: frees the jobs and artifacts of lost workers and publishes again for those that wait.

    python -m worker.recovery

It also drops artifacts that take too much room, and gives back the room of deleted rows to the
disk. A small loop in a process of its own, so
that it never waits behind hour-long jobs. Two of them do no harm. It keeps no state: the next pass
finds whatever one misses while the database or the broker is unavailable.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError

from service.common import logs
from service.common.errors import ConfigError
from service.common.heartbeat import beat
from service.common.messages import ARTIFACTS, JOBS, Doorbell, make_publisher, publish, waiting
from service.common.settings import Settings
from service.store import artifacts, disk, everyone, recovery, space
from service.store.database import Database
from worker.retries import UNREACHABLE, reason

log = logging.getLogger(__name__)

PUBLISH_AGAIN: dict[Doorbell, Callable[..., list[str]]] = {
    JOBS: recovery.publish_again,
    ARTIFACTS: artifacts.publish_again,
}

# Jobs freed or published per pass. While this many messages wait, the workers have enough.
BATCH = 100
LONGEST_PAUSE_SECONDS = 10.0
# The log tells of room that was given back to the disk above this size.
WORTH_A_LINE_BYTES = 2**20
# One pass may wait this long for database and broker.
LONGEST_RECOVERY_SECONDS = 30.0


class RecoveryLoop:
    """One pass over the tables after the other."""

    def __init__(self, settings: Settings, publisher: Celery) -> None:
        self.database = Database(settings, "recovery", self._publish)
        self._settings = settings
        self._publisher = publisher
        self._published: list[str] = []
        self._broker_away = False
        self._broker_refuses = False

    def recover(self) -> None:
        """Frees what lost workers had, publishes again for what waits, gives back room.

        Raises:
            OperationalError, InterfaceError, InternalError, TimeoutError: the database does not
                answer.
        """
        self.free()
        self.publish_again(JOBS)
        self.publish_again(ARTIFACTS)
        self.drop_artifacts()
        disk.make_reserve(self._settings)
        given_back = space.shrink(self.database)
        if given_back > WORTH_A_LINE_BYTES:
            log.info("room given back to the disk", extra={"bytes": given_back})

    def free(self) -> list[str]:
        """Takes jobs and artifacts from workers whose lease ran out; returns their ids."""
        with everyone.write(self.database) as session:
            freed = recovery.free_lost_leases(
                session, lease_seconds=self._settings.lease_seconds, limit=BATCH
            )
            freed_artifacts = artifacts.free_lost_leases(
                session, lease_seconds=self._settings.lease_seconds, limit=BATCH
            )
        for id in freed:
            log.warning("lease lost", extra={"job_id": id})
        for id in freed_artifacts:
            log.warning("lease lost", extra={"artifact_id": id})
        return freed + freed_artifacts

    def drop_artifacts(self) -> None:
        """Drops the oldest answers where all of them take too much room."""
        with everyone.write(self.database) as session:
            dropped = artifacts.drop(
                session, max_bytes=self._settings.max_artifact_bytes, limit=BATCH
            )
        if dropped:
            log.info("artifacts dropped", extra={"artifacts": dropped})

    def publish_again(self, kind: Doorbell = JOBS) -> list[str]:
        """Publishes for queued rows whose last message seems lost; returns their ids.

        They are marked as published only when the broker has just answered, so that an outage
        costs none its turn.
        """
        already = waiting(self._publisher, kind.queue)
        self._note_broker(away=already is None)
        if already is None or already >= BATCH:
            return []
        self._published = []
        with everyone.write(self.database) as session:
            PUBLISH_AGAIN[kind](
                session, republish_seconds=self._settings.republish_seconds, limit=BATCH - already
            )
        if self._published:
            facts = {f"{kind.noun}s": len(self._published), "first": self._published[0]}
            log.info("published again", extra=facts)
        return self._published

    def beat(self, pause: float) -> None:
        """Signals life for longer than a pause and a slow pass."""
        beat(self._settings.heartbeat_file, pause + LONGEST_RECOVERY_SECONDS)

    def _publish(self, id: str) -> None:
        try:
            publish(self._publisher, id)
        except OperationalError as error:
            # It answers, but takes no messages: out of memory, say.
            if not self._broker_refuses:
                log.warning("broker takes no messages", extra={"reason": str(error)})
            self._broker_refuses = True
            return
        if self._broker_refuses:
            log.info("broker takes messages again")
        self._broker_refuses = False
        self._published.append(id)

    def _note_broker(self, *, away: bool) -> None:
        if away is not self._broker_away:
            self._broker_away = away
            if away:
                log.warning("broker does not answer")
            else:
                log.info("broker answers again")


def run(loop: RecoveryLoop, seconds: float, stop: threading.Event) -> None:
    """Passes every `seconds` until told to stop, less often while the database is unavailable."""
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
    log.info("recovery started", extra={"every": settings.recovery_seconds})
    run(RecoveryLoop(settings, make_publisher(settings)), settings.recovery_seconds, stop)
    log.info("recovery stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
