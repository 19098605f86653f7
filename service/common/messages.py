"""The way to the workers: a Celery message that says which job or artifact to look at.

The row in the database is the truth and the message only a doorbell: it carries the row's id. It
may be lost, doubled or late, and costs no more than a delay. The worker that takes it trains the
job whose turn it is, which need not be this one; likewise with artifacts, the answers that take
time, which have a queue and workers of their own so that nobody waits for them behind a training.
"""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

from celery import Celery
from kombu.exceptions import OperationalError

from service.common.settings import Settings

log = logging.getLogger(__name__)


TRAIN_JOB = "gradserve.train_job"
QUEUE = "gradserve"
COMPUTE_ARTIFACT = "gradserve.compute_artifact"
INTERACTIVE_QUEUE = "gradserve.interactive"


class Doorbell(NamedTuple):
    """A kind of message: its queue, its task, and the ids of the rows that it is about."""

    queue: str
    task: str
    ids: re.Pattern[str]
    noun: str


JOBS = Doorbell(QUEUE, TRAIN_JOB, re.compile("job_[0-9a-f]{24}"), "job")
ARTIFACTS = Doorbell(
    INTERACTIVE_QUEUE, COMPUTE_ARTIFACT, re.compile("art_[0-9a-f]{24}"), "artifact"
)
DOORBELLS = {bell.queue: bell for bell in (JOBS, ARTIFACTS)}

COMMON: dict[str, Any] = {
    "task_default_queue": QUEUE,
    # A message is only ever a list with one id; pickle would let a broker run code.
    "task_serializer": "json",
    "accept_content": ["json"],
    # Results are read from the tables; a result backend would be a second truth.
    "task_ignore_result": True,
    # Acknowledged on arrival. With late acks a job longer than the visibility timeout is handed
    # out again while it runs. Recovery publishes again what is lost in between.
    "task_acks_late": False,
    # A message that came back after the death of its process would let a job that kills its
    # worker do so for ever.
    "task_reject_on_worker_lost": False,
    # Times in messages are not used; local time zones stay out of the logs.
    "enable_utc": True,
    "timezone": "UTC",
}

WORKER: dict[str, Any] = {
    # A job may take hours: a message waiting behind it in one process could be started by another.
    "worker_prefetch_multiplier": 1,
    # Wait for a broker for ever, at the start and later: the jobs are safe in the database.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # Likewise for a broker that refuses a command: somebody has changed the kind of a key, say.
    "broker_channel_error_retry": True,
    # A job continues without its broker: it needs only the database.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # Nobody may stop or change workers through the broker; requests go through the database.
    "worker_enable_remote_control": False,
    # The service formats its own log lines.
    "worker_hijack_root_logger": False,
    "broker_transport_options": {
        # A frozen broker must not block the shutdown. Longer than the blocking read for messages
        # (BRPOP), or an idle queue would look like a dead connection.
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        # No copies in the broker of what is being worked on: recovery publishes again what is
        # lost, and nobody can plant a message there that a worker puts back into the queue.
        "ack_emulation": False,
    },
}

PUBLISHER: dict[str, Any] = {
    # A request does not wait for a broker: the job is stored, and recovery publishes it later.
    "task_publish_retry": False,
    # As many connections as the API has threads: none waits for another's publish.
    "broker_pool_limit": 64,
    "broker_transport_options": {
        "socket_timeout": 1,
        "socket_connect_timeout": 1,
        # kombu's own retries around the publish, on top of Celery's.
        "max_retries": 0,
    },
}


def make_celery(settings: Settings) -> Celery:
    """The worker's application: consumes messages, outlives outages of the broker."""
    return _celery(settings, COMMON | WORKER)


def make_publisher(settings: Settings) -> Celery:
    """The API's and recovery's application: publishes at once or gives up at once."""
    return _celery(settings, COMMON | PUBLISHER)


def publish(publisher: Celery, id: str) -> None:
    """Tells the workers to look at a job or an artifact, which one may do before this returns.

    Called after the commit, by `Database.write`; see `service.store.publishing`.

    Raises:
        OperationalError: the broker cannot be reached or takes no message; its text says which.
    """
    doorbell = _doorbell(id)
    publisher.send_task(doorbell.task, args=[id], queue=doorbell.queue)


def try_publish(publisher: Celery, id: str) -> bool:
    """Publishes a message, or leaves that to recovery; returns whether it was published."""
    try:
        publish(publisher, id)
    except OperationalError as error:
        # Only this: a broader except would hide a publish that can never succeed.
        facts = {f"{_doorbell(id).noun}_id": id, "reason": str(error)}
        log.warning("message not published, recovery will do it", extra=facts)
        return False
    return True


def _doorbell(id: str) -> Doorbell:
    return ARTIFACTS if str(id).startswith("art_") else JOBS


def waiting(publisher: Celery, queue: str = QUEUE) -> int | None:
    """Messages that no worker has taken yet; None when the broker cannot be reached."""
    with publisher.connection_or_acquire() as connection:
        try:
            connection.ensure_connection(max_retries=0)
            return int(connection.default_channel.queue_declare(queue).message_count)
        except (OperationalError, *connection.recoverable_connection_errors):
            return None


def _celery(settings: Settings, config: dict[str, Any]) -> Celery:
    app = Celery("gradserve", broker=settings.broker_url, set_as_current=False)
    app.conf.update(config)
    return app
