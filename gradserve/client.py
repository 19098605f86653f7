"""A Python client of the service.

    from gradserve.client import Client

    with Client("http://127.0.0.1:8000") as client:
        job = client.submit(spec)
        for job in client.watch(job["id"]):
            print(job["step"], job["loss"])

Requests are repeated for a moment when the service cannot be reached or answers 503. That is safe
for a submission too: it carries an Idempotency-Key, so the same job is never made twice.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypedDict, cast
from urllib.parse import quote

import httpx

from gradserve import DEFAULT_URL
from gradserve.errors import ClientError, FieldError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PAGE = 100
HISTORY_PAGE = 10_000
# Seconds for which a request is repeated: a moment for one answer, a restart's time to watch.
PATIENCE = 2.0
WATCH_PATIENCE = 30.0
# How fast a service on a busy core checks and stores a specification, at least.
BYTES_A_SECOND = 500_000


class JobError(TypedDict):
    code: str
    detail: str
    step: int | None


class JobSummary(TypedDict):
    """A job as it stands in a list; times are RFC 3339 texts in UTC."""

    id: str
    name: str | None
    parent_id: str | None
    state: str
    terminal: bool
    step: int
    steps: int
    progress: float
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    eta_seconds: float | None
    attempt: int
    error: JobError | None
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None


class Job(JobSummary):
    """A job with its specification, defaults filled in."""

    spec: dict[str, Any]


class HistoryRow(TypedDict):
    """One logged step. What is not known, or not finite, is None."""

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    gradient_norm: float | None


class LayerParameters(TypedDict):
    """`weights` is units × inputs, `biases` one number a unit."""

    weights: list[list[float]]
    biases: list[float]
    activation: str


class Parameters(TypedDict):
    step: int
    sha256: str
    layers: list[LayerParameters]


Jobs = list[JobSummary]
History = list[HistoryRow]


class Client:
    """One service. Safe to use from several threads; close it, or use it in a `with` block."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._http = httpx.Client(
            base_url=_checked(self.url),
            timeout=timeout,
            # A proxy for the outside world does not lead to this machine.
            trust_env=httpx.URL(self.url).host not in LOOPBACK,
        )

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
        """Whether every part of the service works. False also when nothing answers."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def submit(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Hands in a job; returns it as stored, with the defaults filled in.

        The same specification with the same key, within a day, is the same job.
        """
        body = json.dumps(dict(spec), allow_nan=False).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key or uuid.uuid4().hex,
        }
        timeout = self._timeout + len(body) / BYTES_A_SECOND
        answer = self._send("POST", "/v1/jobs", content=body, headers=headers, timeout=timeout)
        return cast(Job, _json(answer))

    def get(self, id: str) -> Job:
        return cast(Job, _json(self._get(_path(id))))

    def cancel(self, id: str) -> Job:
        """Asks for the end of a job; a worker that trains it stops within a second."""
        return self._act(id, "cancel")

    def pause(self, id: str) -> Job:
        """Asks for a rest; the job keeps what it has learned until it is resumed."""
        return self._act(id, "pause")

    def resume(self, id: str) -> Job:
        """Queues a paused job again, or takes back a pause that has not happened yet."""
        return self._act(id, "resume")

    def list(self, *, limit: int = 20, state: str | None = None, name: str | None = None) -> Jobs:
        """The newest jobs first, at most `limit`, of one state or name where given."""
        query = _present(state=state, name=name)
        jobs: Jobs = []
        while len(jobs) < limit:
            query["limit"] = min(limit - len(jobs), PAGE)
            page = _json(self._get("/v1/jobs", query))
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
            page = _json(self._get(_path(id, "history"), query))
            rows += page["items"]
            next_step = page["next_after_step"]
        return rows

    def parameters(self, id: str) -> Parameters:
        """The trained weights and biases; the same bits as the worker had."""
        return cast(Parameters, _json(self._get(_path(id, "parameters"))))

    def watch(self, id: str) -> Iterator[Job]:
        """The job now and whenever the service says to look again, until it has ended.

        Goes on over a restart of the service that takes less than half a minute.
        """
        while True:
            answer = self._send("GET", _path(id), patience=WATCH_PATIENCE)
            job = cast(Job, _json(answer))
            yield job
            if job["terminal"]:
                return
            time.sleep(_retry_after(answer, default=0.5))

    def _act(self, id: str, action: str) -> Job:
        return cast(Job, _json(self._send("POST", _path(id, action))))

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> httpx.Response:
        return self._send("GET", path, params=query)

    def _send(
        self, method: str, path: str, *, patience: float = PATIENCE, **request: Any
    ) -> httpx.Response:
        deadline = time.monotonic() + patience
        pause = 0.1
        while True:
            try:
                return self._send_once(method, path, **request)
            except ClientError as error:
                temporary = error.status is None or error.status == httpx.codes.SERVICE_UNAVAILABLE
                if not temporary or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _send_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TimeoutException:
            raise ClientError(f"{self.url} did not answer in time") from None
        except httpx.TransportError as error:
            reason = str(error).rpartition("] ")[2]  # without "[Errno 111] "
            raise ClientError(
                f"Cannot reach {self.url}: {reason}; `gradserve up` starts a service"
            ) from None
        if not answer.is_success:
            raise _refusal(answer)
        return answer


def _checked(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL("")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ClientError(f"{url!r} is not an address; it must look like http://HOST:PORT")
    return url


def _path(id: str, *rest: str) -> str:
    return "/".join(["/v1/jobs", quote(id, safe=""), *rest])


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ClientError(f"{answer.url} does not answer as gradserve does; is it another service?")
    return document


def _refusal(answer: httpx.Response) -> ClientError:
    """The sentence of an RFC 9457 problem, or the status where the answer is none."""
    try:
        problem = answer.json()
        errors = tuple(FieldError(e["pointer"], e["detail"]) for e in problem.get("errors", ()))
        # The places say it all; the detail would only repeat the first of them.
        sentence = problem["title"] if errors else problem.get("detail") or problem["title"]
    except (ValueError, KeyError, TypeError, AttributeError):
        sentence = f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}"
        errors = ()
    return ClientError(sentence, status=answer.status_code, errors=errors)


def _retry_after(answer: httpx.Response, *, default: float) -> float:
    try:
        return min(max(float(answer.headers["Retry-After"]), 0.1), 10.0)
    except (KeyError, ValueError):
        return default
