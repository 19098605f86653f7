"""The consumer reads nothing from a message but the id of a job.

Whoever can write to the broker can write anything there. Celery trusts a message: one that it
cannot unpack ends the worker, and one that it can unpack sets a time limit, a delay or a task to
call afterwards. So each message is read here as it arrives, dropped when it is not one of ours,
and otherwise written anew: Celery sees only what this file wrote.
"""

from __future__ import annotations

import base64
import json
import logging
import uuid
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from service.common.messages import QUEUE, TRAIN_JOB
from service.store.jobs import ID

log = logging.getLogger(__name__)

# Ours have about 1,000 bytes.
MAX_BYTES = 16 * 2**10
JSON = "application/json"


class NotOurs(Exception):
    """A message that no publisher of gradserve has written; the text says why."""


class Consumer(CeleryConsumer):  # type: ignore[misc]  # celery ships no types
    """Celery's consumer, on a connection that returns clean messages only."""

    def connect(self) -> Any:
        connection = super().connect()
        channel = connection.default_channel
        _free_keys(channel)
        channel.client.set_response_callback("BRPOP", receive)
        return connection


def receive(response: Any, **_: Any) -> tuple[bytes, bytes] | None:
    """The answer to a BRPOP, its message written anew; None, as after a time-out, if dropped."""
    if not response:
        return None
    key, raw = response
    try:
        return key, rewrite(raw)
    except NotOurs as reason:
        log.warning("message dropped", extra={"reason": str(reason), "bytes": len(raw)})
        return None


def rewrite(raw: bytes) -> bytes:
    """The message that a publisher of ours would have written for the same job.

    Raises:
        NotOurs: it is no message for a job.
    """
    message = _read(raw)
    headers = message.get("headers")
    if not isinstance(headers, dict) or headers.get("task") != TRAIN_JOB:
        raise NotOurs("it does not name our task")
    if message.get("content-type") != JSON:
        raise NotOurs("its content type is not JSON")
    return _write(_job_id(message.get("body")))


def _read(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise NotOurs(f"it is longer than {MAX_BYTES} bytes")
    message = _json(raw)
    if not isinstance(message, dict):
        raise NotOurs("it is not a JSON object")
    return message


def _job_id(body: object) -> str:
    """The only argument of the call; keyword arguments and what to call next are not looked at."""
    try:
        call = _json(base64.b64decode(body, validate=True)) if isinstance(body, str) else None
    except ValueError:
        raise NotOurs("its body is not base64") from None
    arguments = call[0] if isinstance(call, list) and call else None
    if not isinstance(arguments, list) or len(arguments) != 1:
        raise NotOurs("its body does not hold one argument")
    (job_id,) = arguments
    if not isinstance(job_id, str) or not ID.fullmatch(job_id):
        raise NotOurs("its argument is not the id of a job")
    return job_id


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        raise NotOurs("it is not JSON") from None


def _write(job_id: str) -> bytes:
    """A message as kombu's virtual transports and Celery's protocol 2 define it."""
    # Ids of our own: Celery would confuse two messages that bring the same ones.
    id = str(uuid.uuid4())
    headers = {"lang": "py", "task": TRAIN_JOB, "id": id, "root_id": id}
    body = json.dumps([[job_id], {}, {}]).encode()
    message = {
        "body": base64.b64encode(body).decode(),
        "content-type": JSON,
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {
            "correlation_id": id,
            "delivery_tag": id,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "body_encoding": "base64",
            "priority": 0,
        },
    }
    return json.dumps(message).encode()


def _free_keys(channel: Any) -> None:
    """Deletes values that are not lists where the queue belongs: no command of ours would work."""
    for priority in channel.priority_steps:
        key = channel._q_for_pri(QUEUE, priority)
        kind = channel.client.type(key)
        if kind not in (b"none", b"list"):
            channel.client.delete(key)
            log.warning("queue was not a list, deleted", extra={"key": key, "type": kind.decode()})
