"""Answers that take time: given at once, within the time that a client waits, or 202.

An endpoint calls `artifact_answer`. A worker computes what is missing (`worker/artifacts/`), and
the request that waits looks for it in short transactions, so that it holds no connection.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlencode

from flask import Flask, Response, current_app, g, jsonify, request
from pydantic import BaseModel, Field

from service.api import context
from service.api.prefer import wait_seconds
from service.api.problems import invalid, problem
from service.common import stopping
from service.common.settings import Settings
from service.store import artifacts, disk, jobs
from service.store.tables import Artifact

RETRY_AFTER_SECONDS = 1
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.25
TURNS = "gradserve_waiting_requests"

Present = Callable[[bytes, str], Response]


class Computing(BaseModel):
    """The answer is being computed: ask again at `Location`, after `Retry-After` seconds."""

    state: Literal["queued", "running"]
    kind: str = Field(description="what is computed")
    arguments: dict[str, Any] = Field(description="its arguments, a step as its number")
    links: dict[str, str]


def register(app: Flask, settings: Settings) -> None:
    """Gives the app its turns for requests that wait."""
    app.extensions[TURNS] = threading.BoundedSemaphore(settings.max_waiting_requests)


def as_it_is(data: bytes, media_type: str) -> Response:
    return Response(data, mimetype=media_type)


def artifact_answer(
    job_id: str,
    kind: str,
    arguments: Mapping[str, Any],
    prefer: str | None,
    *,
    present: Present = as_it_is,
    location: str | None = None,
) -> Response:
    """The answer to a question about a job: 200, the problem why there is none, or 202.

    Args:
        kind: one of those in `worker/artifacts/kinds.py`.
        arguments: JSON values, checked and with names of steps resolved to their numbers, so that
            they mean the same for ever.
        prefer: the request's header `Prefer`.
        present: makes the response from the stored bytes and their media type.
        location: where to ask again after 202; the address of this request with the arguments in
            its query, unless given.

    Raises:
        JobNotFound: the session's owner has no such job.
        TooBusy: as many other questions of this owner wait as may.
        DiskFull: there is no room for the answer.
    """
    seconds, applied = wait_seconds(prefer)
    found = _obtain(job_id, kind, arguments, seconds)
    if found.state == "failed":
        answer = _failure(json.loads(found.problem or "{}"))
    elif found.state == "succeeded":
        answer = present(found.data or b"", found.media_type or "")
    else:
        answer = _computing(found, location or _here(arguments))
    if applied is not None:
        answer.headers["Preference-Applied"] = applied
    answer.vary.add("Prefer")
    return answer


def _obtain(job_id: str, kind: str, arguments: Mapping[str, Any], seconds: float) -> Artifact:
    """The artifact, once it has ended or the time is up."""
    until = time.monotonic() + seconds
    found = _find_or_ask(job_id, kind, arguments)
    if _has_ended(found) or not seconds:
        return found
    with _turn() as may_wait:
        pause = FIRST_PAUSE_SECONDS
        while may_wait and not _has_ended(found) and not stopping.started():
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(pause, left))
            pause = min(1.5 * pause, LONGEST_PAUSE_SECONDS)
            found = _find_or_ask(job_id, kind, arguments)
    return found


def _find_or_ask(job_id: str, kind: str, arguments: Mapping[str, Any]) -> Artifact:
    with context.read() as session:
        found = artifacts.find(session, jobs.key(session, job_id), kind, arguments)
    if found is not None:
        return found
    disk.check(context.current().settings)
    with context.write() as session:
        return artifacts.ask(session, job_id, kind, arguments, request_id=g.request_id)


def _has_ended(found: Artifact) -> bool:
    return found.finished_at is not None


@contextmanager
def _turn() -> Iterator[bool]:
    """Whether this request may wait; there are so many turns that others still get a thread."""
    turns: threading.BoundedSemaphore = current_app.extensions[TURNS]
    may_wait = turns.acquire(blocking=False)
    try:
        yield may_wait
    finally:
        if may_wait:
            turns.release()


def _failure(stored: dict[str, Any]) -> Response:
    """The problem as it was stored; with its place where the question itself is wrong."""
    pointer = stored.pop("pointer", None)
    return problem(**stored) if pointer is None else invalid([(pointer, stored["detail"])])


def _computing(found: Artifact, location: str) -> Response:
    answer = jsonify(
        {
            "state": found.state,
            "kind": found.kind,
            "arguments": json.loads(found.arguments),
            "links": {"self": location},
        }
    )
    answer.status_code = 202
    answer.headers["Location"] = location
    answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def _here(arguments: Mapping[str, Any]) -> str:
    query = urlencode(request.args.to_dict() | dict(arguments))
    return f"{request.script_root}{request.path}" + (f"?{query}" if query else "")
