"""The consumer reads nothing from a message but the id of a job, or of an artifact.

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

from service.common.messages import DOORBELLS, Doorbell

log = logging.getLogger(__name__)

# Ours have about 1,000 bytes.
MAX_BYTES = 16 * 2**10
JSON = "application/json"
# Between the name of a queue and a priority, in the keys of kombu's transport.
SEPARATOR = "\x06\x16"


class NotOurs(Exception):
    """A message that no publisher of gradserve has written; the text says why."""


class Consumer(CeleryConsumer):  # type: ignore[misc]  # celery ships no types
    """Celery's consumer, on a connection that returns clean messages only."""

    def connect(self) -> Any:
        connection = super().connect()
        channel = connection.default_channel
        for queue in self.app.amqp.queues.consume_from:
            _free_keys(channel, queue)
        channel.client.set_response_callback("BRPOP", receive)
        return connection


def receive(response: Any, **_: Any) -> tuple[bytes, bytes] | None:
    """The answer to a BRPOP, its message written anew; None, as after a time-out, if dropped."""
    if not response:
        return None
    key, raw = response
    try:
        return key, rewrite(raw, DOORBELLS[_queue_of(key)])
    except NotOurs as reason:
        log.warning("message dropped", extra={"reason": str(reason), "bytes": len(raw)})
        return None


def rewrite(raw: bytes, doorbell: Doorbell) -> bytes:
    """The message that a publisher of ours would have written for the same row.

    Only the kind of message that belongs into the queue is accepted, so that whoever can write to
    one queue cannot have its workers do the work of another.

    Raises:
        NotOurs: it is not such a message.
    """
    message = _read(raw)
    headers = message.get("headers")
    if not isinstance(headers, dict) or headers.get("task") != doorbell.task:
        raise NotOurs("it does not name our task")
    if message.get("content-type") != JSON:
        raise NotOurs("its content type is not JSON")
    return _write(_id(message.get("body"), doorbell), doorbell)


def _read(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise NotOurs(f"it is longer than {MAX_BYTES} bytes")
    message = _json(raw)
    if not isinstance(message, dict):
        raise NotOurs("it is not a JSON object")
    return message


def _id(body: object, doorbell: Doorbell) -> str:
    """The only argument of the call; keyword arguments and what to call next are not looked at."""
    try:
        call = _json(base64.b64decode(body, validate=True)) if isinstance(body, str) else None
    except ValueError:
        raise NotOurs("its body is not base64") from None
    arguments = call[0] if isinstance(call, list) and call else None
    if not isinstance(arguments, list) or len(arguments) != 1:
        raise NotOurs("its body does not hold one argument")
    (id,) = arguments
    if not isinstance(id, str) or not doorbell.ids.fullmatch(id):
        raise NotOurs(f"its argument is not the id of a {doorbell.noun}")
    return id


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        raise NotOurs("it is not JSON") from None


def _write(row_id: str, doorbell: Doorbell) -> bytes:
    """A message as kombu's virtual transports and Celery's protocol 2 define it."""
    # Ids of our own: Celery would confuse two messages that bring the same ones.
    id = str(uuid.uuid4())
    headers = {"lang": "py", "task": doorbell.task, "id": id, "root_id": id}
    body = json.dumps([[row_id], {}, {}]).encode()
    message = {
        "body": base64.b64encode(body).decode(),
        "content-type": JSON,
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {
            "correlation_id": id,
            "delivery_tag": id,
            "delivery_info": {"exchange": "", "routing_key": doorbell.queue},
            "body_encoding": "base64",
            "priority": 0,
        },
    }
    return json.dumps(message).encode()


def _queue_of(key: bytes) -> str:
    """The queue to which a list in the broker belongs: it has one for each priority."""
    return key.decode().partition(SEPARATOR)[0]


def _free_keys(channel: Any, queue: str) -> None:
    """Deletes values that are not lists where the queue belongs: no command of ours would work."""
    for priority in channel.priority_steps:
        key = channel._q_for_pri(queue, priority)
        kind = channel.client.type(key)
        if kind not in (b"none", b"list"):
            channel.client.delete(key)
            log.warning("queue was not a list, deleted", extra={"key": key, "type": kind.decode()})
