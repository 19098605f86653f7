"""A Python client of the service.

from gradserve import Gradserve

with Gradserve("http://127.0.0.1:8000") as service:
    job = service.submit(spec)
    for job in service.watch(job["id"]):
        print(job["step"], job["loss"])
"""

from __future__ import annotations

import json
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

import httpx

from gradserve import credentials, files
from gradserve.defaults import DEFAULT_URL
from gradserve.errors import ClientError
from gradserve.http import Transport, document, location, retry_after
from gradserve.types import History, Job, Jobs, Parameters, SubmittedJob

PAGE = 100
HISTORY_PAGE = 10_000
WATCH_RETRY_SECONDS = 30.0
# The least speed at which a service on a busy core checks and stores a specification.
BYTES_PER_SECOND = 500_000
POLL_SECONDS = 0.5
# An answer that takes time: how long the service may take for each response, and for all of them.
WAIT_SECONDS = 10
ANSWER_SECONDS = 600.0


class Gradserve:
    """One service. Safe to use from several threads; close it, or use it in a `with` block.

    Every method raises `gradserve.ClientError` when the service cannot be reached, refuses the
    request or fails; its text is meant for a person.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        insecure_http: bool = False,
        timeout: float = 10.0,
    ) -> None:
        """A client of the service at `url`.

        Args:
            api_key: the key, if the service needs one. By default that of GRADSERVE_API_KEY, or
                the one that `gradserve login` has stored for this address.
            insecure_http: whether a key may be sent over plain http to another machine, where
                whoever sees the traffic can read it.
            timeout: seconds to wait for an answer.
        """
        key = api_key or credentials.find(url)
        self._http = Transport(url, timeout, key, insecure_http=insecure_http)
        self.url = self._http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        """Whether every part of the service works. False also when nothing responds."""
        return self._http.answers("/readyz")

    def submit(
        self, spec: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> SubmittedJob:
        """Submits a job; returns it as stored, with the defaults filled in.

        Its `warnings` name likely mistakes. The same specification with the same key, within a
        day, is the same job.
        """
        body = json.dumps(dict(spec), allow_nan=False).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key or uuid.uuid4().hex,
        }
        timeout = self._http.timeout + len(body) / BYTES_PER_SECOND
        response = self._http.send(
            "POST", "/v1/jobs", content=body, headers=headers, timeout=timeout
        )
        return cast(SubmittedJob, document(response))

    def get(self, id: str) -> Job:
        return cast(Job, self._get(_path(id)))

    def cancel(self, id: str) -> Job:
        """Requests the end of a job; a worker that trains it stops within a second."""
        return self._act(id, "cancel")

    def pause(self, id: str) -> Job:
        """Pauses a job; its progress is kept until it is resumed."""
        return self._act(id, "pause")

    def resume(self, id: str) -> Job:
        """Queues a paused job again, or withdraws a pause that has not happened yet."""
        return self._act(id, "resume")

    def delete(self, id: str) -> None:
        """Deletes a job that has ended, with its history and parameters."""
        self._http.send("DELETE", _path(id))

    def list(self, *, limit: int = 20, state: str | None = None, name: str | None = None) -> Jobs:
        """At most `limit` jobs, the newest first, of one state or name where given."""
        query: dict[str, Any] = _present(state=state, name=name)
        jobs: Jobs = []
        while len(jobs) < limit:
            query["limit"] = min(limit - len(jobs), PAGE)
            page = self._get("/v1/jobs", query)
            jobs += page["items"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        return jobs

    def history(self, id: str, *, after_step: int = -1) -> History:
        """Every logged step above `after_step`, in order."""
        rows: History = []
        next_step: int | None = after_step
        while next_step is not None:
            query = {"after_step": next_step, "limit": HISTORY_PAGE}
            page = self._get(_path(id, "history"), query)
            rows += page["items"]
            next_step = page["next_after_step"]
        return rows

    def parameters(self, id: str, *, step: int | str | None = None) -> Parameters:
        """The weights and biases after `step` updates, bit for bit those of the worker.

        `step` is a number of updates, "best" or "latest"; by default it is the one that the job
        delivers, or of a job that has ended without a result that of its newest checkpoint. The
        answer says which one it is. A step that was not kept is computed again by the service,
        which takes as long as the training did from the checkpoint before it.
        """
        return cast(
            Parameters, self._computed(_path(id, "parameters"), _present(step=step) or None)
        )

    def download(
        self, id: str, format: str, path: str | Path, *, step: int | str | None = None
    ) -> Path:
        """Writes the trained network to a file: safetensors, onnx, json or python.

        `step` is as in `parameters`. An onnx file takes raw rows and a python file defines
        `predict(row)`; docs/exports.md says what each of them holds.
        """
        query = _present(format=format, step=step)
        return files.write(Path(path), self._answer(_path(id, "model"), query).content)

    def plot(self, id: str, kind: str, path: str | Path, **query: Any) -> Path:
        """Writes a picture of a job to an SVG file; docs/pictures.md names the kinds.

        `query` are those of the picture, such as `step=40`, `theme="dark"` or `x="petal width"`.
        A graph may also be had as text, with `format="dot"` or `"json"`.
        """
        rest = ["graph"] if kind == "graph" else ["plots", f"{quote(kind, safe='')}.svg"]
        answer = self._answer(_path(id, *rest), query or None)
        return files.write(Path(path), answer.content)

    def watch(self, id: str) -> Iterator[Job]:
        """Yields the job now and whenever the service suggests to ask again, until it has ended.

        Continues over a restart of the service that takes less than half a minute.
        """
        while True:
            response = self._http.send("GET", _path(id), retry_seconds=WATCH_RETRY_SECONDS)
            job = cast(Job, document(response))
            yield job
            if job["terminal"]:
                return
            time.sleep(retry_after(response, default=POLL_SECONDS))

    def _act(self, id: str, action: str) -> Job:
        return cast(Job, document(self._http.send("POST", _path(id, action))))

    def _computed(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return document(self._answer(path, query))

    def _answer(self, path: str, query: Mapping[str, Any] | None = None) -> httpx.Response:
        """The answer to a question that takes time: asked again until it has been computed."""
        until = time.monotonic() + ANSWER_SECONDS
        headers = {"Prefer": f"wait={WAIT_SECONDS}"}
        timeout = self._http.timeout + WAIT_SECONDS
        while True:
            response = self._http.send("GET", path, params=query, headers=headers, timeout=timeout)
            if response.status_code != httpx.codes.ACCEPTED:
                return response
            pause = retry_after(response, default=POLL_SECONDS)
            if time.monotonic() + pause > until:
                raise ClientError(
                    f"{self.url} has not computed the answer within {ANSWER_SECONDS:g} s; ask again"
                )
            time.sleep(pause)
            path, query = location(response), None

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return document(self._http.send("GET", path, params=query))


class Client(Gradserve):
    """The old name of `Gradserve`; deprecated, kept for one version."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout: float = 10.0) -> None:
        message = "gradserve.client.Client is now called Gradserve: from gradserve import Gradserve"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        super().__init__(url, timeout=timeout)


def _path(id: str, *rest: str) -> str:
    return "/".join(["/v1/jobs", quote(id, safe=""), *rest])


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
