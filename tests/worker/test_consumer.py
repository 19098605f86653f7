"""Whoever can write to the broker cannot end a worker, nor tell it more than the id of a job."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from engine.spec import JobSpec
from service.common.messages import QUEUE, TRAIN_JOB
from service.common.settings import Settings
from tests import servers
from tests.processes import children, until
from tests.worker.conftest import Bench, Start, make_spec, publish, wait_for_state

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

JOB = "job_0123456789abcdef01234567"
# In seconds; the job of the test that uses it takes longer.
TIME_LIMIT = 0.2


def message(content: Any = None, *, task: Any = TRAIN_JOB, **changes: Any) -> dict[str, Any]:
    """A message as a publisher writes it, but for the changes."""
    content = [[JOB], {}, {}] if content is None else content
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    sound = {
        "body": base64.b64encode(raw).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": "x", "root_id": "x"},
        "properties": {
            "correlation_id": "x",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "x",
        },
    }
    return sound | changes


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in message().items() if name not in names}


class Touch:
    """Pickled, a command that is run by whoever unpickles it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


def foreign(mark: Path) -> dict[str, Any]:
    """Messages to drop; bytes go into the queue as they are. Nobody may create the file `mark`."""
    touch = f"touch {mark}"
    return {
        "no bytes": b"",
        "text": b"hello",
        "not UTF-8": b"\xff\xfe\x00\x80",
        "UTF-16": json.dumps(message()).encode("utf-16"),
        "half a message": json.dumps(message()).encode()[:200],
        "null": b"null",
        "a number": b"1e999",
        "a number of 5,000 digits": b"9" * 5000,
        "a list": b"[]",
        "a nested list": b"[" * 15_000,
        "a huge message": json.dumps(message(padding="x" * 2_000_000)).encode(),
        "a kombu type": {"__type__": "decimal", "__value__": "x"},
        "an empty object": {},
        "no headers": without("headers"),
        "no properties and no body": without("properties", "body"),
        "headers of null": message(headers=None),
        "headers that are a list": message(headers=["task", TRAIN_JOB]),
        "headers that are a text": message(headers=TRAIN_JOB),
        "headers without a task": message(headers={"id": "x"}),
        "protocol 1": message({"task": TRAIN_JOB, "id": "x", "args": [JOB]}, headers={}),
        "an unknown task": message(task="os.system"),
        "a task of Celery's": message([[[], []], {}, {}], task="celery.map"),
        "a task that is a list": message(task=[TRAIN_JOB]),
        "a body that is null": message(b"null"),
        "a body that is an object": message({"a": 1}),
        "a body that is a number": message(7),
        "a body that is empty": message([]),
        "a body that is no base64": message(body="§§§"),
        "a body that is not JSON": message(b"\x80\x81"),
        "a body that nests": message(b"[" * 11_000),
        "a body of another type": message(body={"args": [JOB]}),
        "no arguments": message([[], {}, {}]),
        "two arguments": message([[JOB, JOB], {}, {}]),
        "a keyword argument": message([[], {"job_id": JOB}, {}]),
        "arguments that are an object": message([{"job_id": JOB}, {}, {}]),
        "arguments that are a text": message([JOB, {}, {}]),
        "an id that is a number": message([[1], {}, {}]),
        "an id that is a list": message([[[JOB]], {}, {}]),
        "an id that no job can have": message([["../../etc/passwd"], {}, {}]),
        "an id with a line": message([[JOB + "\n"], {}, {}]),
        "pickle": message(
            pickle.dumps([[Touch(mark)], {}, {}]),
            **{"content-type": "application/x-python-serialize", "content-encoding": "binary"},
        ),
        "YAML": message(
            f"!!python/object/apply:os.system ['{touch}']".encode(),
            **{"content-type": "application/x-yaml"},
        ),
        "no content type": without("content-type"),
        "a content type that is a list": message(**{"content-type": ["application/json"]}),
        "a compressed body": message(
            zlib.compress(b"[" * 1_000_000),
            headers={"task": TRAIN_JOB, "id": "x", "compression": "application/x-gzip"},
        ),
    }


def call(job_id: str) -> list[Any]:
    return [[job_id], {}, {}]


def odd(job_id: str, canary: str) -> dict[str, Any]:
    """Messages for a job that ask for more. Nothing but the job may be heeded."""
    signature = {
        "task": TRAIN_JOB,
        "args": [canary],
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": True,
    }

    def asking(**headers: Any) -> dict[str, Any]:
        return message(call(job_id), headers=message()["headers"] | headers)

    def embedding(**embed: Any) -> dict[str, Any]:
        return message([[job_id], {}, embed])

    far = "2999-01-01T00:00:00+00:00"
    properties = message()["properties"]
    return {
        "a time limit": asking(timelimit=[TIME_LIMIT, None]),
        "a soft time limit": asking(timelimit=[None, TIME_LIMIT]),
        "a time limit that is none": asking(timelimit="soon"),
        "a delay": asking(eta=far),
        "a time that is none": asking(eta="tomorrow"),
        "a time that is a list": asking(eta=[1, 2]),
        "an end that is over": asking(expires="1999-01-01T00:00:00+00:00"),
        "an end that is none": asking(expires={"a": 1}),
        "retries": asking(retries=10**9),
        "retries that are none": asking(retries="many"),
        "a name with control characters": asking(shadow="\x1b[2J\nforged"),
        "no id": message(call(job_id), headers={"task": TRAIN_JOB}),
        "an id that is a list": asking(id=[1]),
        "stamps": asking(stamped_headers=["a"], stamps={"a": 1}),
        "a request id that is a list": asking(request_id=["x"]),
        "a request id with a line": asking(request_id="x\nforged"),
        "ignore_result": asking(ignore_result=False),
        "a reply": message(call(job_id), properties=properties | {"reply_to": QUEUE}),
        "no properties": {
            name: value for name, value in message(call(job_id)).items() if name != "properties"
        },
        "properties of null": message(call(job_id), properties=None),
        "a priority that is none": message(call(job_id), properties=properties | {"priority": {}}),
        "no embed": message([[job_id]]),
        "an embed that is a list": message([[job_id], {}, [1]]),
        "keyword arguments that are a list": message([[job_id], [], {}]),
        "a keyword argument besides": message([[job_id], {"task": 1}, {}]),
        "callbacks": embedding(callbacks=[signature]),
        "errbacks": embedding(errbacks=[signature]),
        "a chain": embedding(chain=[signature]),
        "a chord": embedding(chord=signature),
        "a link": asking(link=[signature], callbacks=[signature], chain=[signature]),
        "a group": asking(group="x", chord=signature),
    }


@pytest.fixture
def own_broker(sqlite_bench: Bench) -> Iterator[tuple[Settings, redis.Redis]]:
    with servers.valkey() as server:
        client = redis.Redis(unix_socket_path=server.url.removeprefix("redis+socket://"))
        yield replace(sqlite_bench.settings, broker_url=server.url), client
        client.close()


def push(client: redis.Redis, item: Any, queue: str = QUEUE) -> None:
    client.lpush(queue, item if isinstance(item, bytes) else json.dumps(item))


def drops(log: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [event for event in events if event["message"] == "message dropped"]


def test_foreign_messages_are_dropped_and_the_next_job_is_trained(
    sqlite_bench: Bench,
    spec: JobSpec,
    own_broker: tuple[Settings, redis.Redis],
    start_worker: Start,
    log: Callable[[], str],
    tmp_path: Path,
) -> None:
    settings, client = own_broker
    mark = tmp_path / "mark"
    items = foreign(mark)
    for item in items.values():  # they wait when the worker starts
        push(client, item)
    worker = start_worker(settings)
    until(lambda: len(drops(log())) == len(items), 60, "all are dropped")
    pool = children(worker.pid)
    for name, item in items.items():  # and come while it works
        push(client, item, QUEUE if len(name) % 2 else f"{QUEUE}\x06\x163")

    id = sqlite_bench.submit(spec)
    publish(settings, id)

    wait_for_state(sqlite_bench, id, "succeeded")
    until(lambda: len(drops(log())) == 2 * len(items), 30, "all are dropped")
    assert worker.poll() is None
    assert children(worker.pid) == pool
    assert not mark.exists()
    text = log()
    assert "Traceback" not in text
    assert "Unrecoverable" not in text
    assert all(len(str(event)) < 300 for event in drops(text))


def test_a_message_says_that_a_job_waits_and_nothing_else(
    sqlite_bench: Bench,
    own_broker: tuple[Settings, redis.Redis],
    start_worker: Start,
    log: Callable[[], str],
) -> None:
    settings, client = own_broker
    ids = {name: sqlite_bench.submit(make_spec(steps=60)) for name in odd(JOB, JOB)}
    # The newest, and no message for it: one more call than there are messages would train it.
    canary = sqlite_bench.submit(make_spec())
    worker = start_worker(settings)

    for name, id in ids.items():
        push(client, odd(id, canary)[name])

    for name, id in ids.items():
        until(
            lambda id=id: sqlite_bench.job(id).state == "succeeded",  # type: ignore[misc]
            30,
            f"{name}: trained",
        )
        assert sqlite_bench.job(id).attempt == 1, name
    assert worker.poll() is None
    assert sqlite_bench.job(canary).state == "queued"
    assert "Traceback" not in log()
    assert drops(log()) == []
    # Nothing is left over to be done later: no delay, no copy, no answer.
    assert [key for key in client.scan_iter() if b"_kombu" not in key] == []


@pytest.mark.long
def test_a_time_limit_in_a_message_does_not_end_the_job(
    sqlite_bench: Bench, own_broker: tuple[Settings, redis.Redis], start_worker: Start
) -> None:
    settings, client = own_broker
    worker = start_worker(settings)
    id = sqlite_bench.submit(make_spec(steps=10_000))
    until(lambda: len(children(worker.pid)) == 2, 60, "the pool")
    pool = children(worker.pid)

    push(client, odd(id, JOB)["a time limit"])

    wait_for_state(sqlite_bench, id, "succeeded")
    job = sqlite_bench.job(id)
    assert children(worker.pid) == pool
    assert job.attempt == 1


@pytest.mark.parametrize("at_start", [True, False])
def test_a_queue_of_another_kind_is_replaced(
    sqlite_bench: Bench,
    spec: JobSpec,
    own_broker: tuple[Settings, redis.Redis],
    start_worker: Start,
    log: Callable[[], str],
    at_start: bool,
) -> None:
    settings, client = own_broker
    if at_start:
        client.set(QUEUE, "not a list")
    worker = start_worker(settings)
    until(lambda: "ready" in log(), 60, "the worker is ready")
    if not at_start:
        client.set(QUEUE, "not a list")
    until(lambda: client.type(QUEUE) != b"string", 30, "the key is free")

    id = sqlite_bench.submit(spec)
    publish(settings, id)

    wait_for_state(sqlite_bench, id, "succeeded")
    assert worker.poll() is None


def test_copies_that_somebody_has_planted_are_not_looked_at(
    sqlite_bench: Bench,
    spec: JobSpec,
    own_broker: tuple[Settings, redis.Redis],
    start_worker: Start,
    log: Callable[[], str],
) -> None:
    settings, client = own_broker
    client.zadd("unacked_index", {"x": 1})
    client.hset("unacked", "x", "not JSON")
    worker = start_worker(settings)

    id = sqlite_bench.submit(spec)
    publish(settings, id)

    wait_for_state(sqlite_bench, id, "succeeded")
    assert worker.poll() is None
    assert "Traceback" not in log()
