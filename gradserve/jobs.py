"""The jobs of a service, as `client.jobs`: submitted, followed, asked and judged."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import httpx

from gradserve import files, types
from gradserve.errors import ClientError
from gradserve.http import Transport, document, location, retry_after

if TYPE_CHECKING:
    from engine import MLP

PAGE = 100
HISTORY_PAGE = 10_000
ROW_PAGE = 1_000
# Rows that are sent to be predicted at a time.
PREDICTED_AT_ONCE = 1_000
WATCH_RETRY_SECONDS = 30.0
# The least speed at which a service on a busy core checks and stores a specification.
BYTES_PER_SECOND = 500_000
POLL_SECONDS = 0.5
# An answer that takes time: how long the service may take for each response, and for all of them.
WAIT_SECONDS = 10
ANSWER_SECONDS = 600.0

Rows = Sequence[Any]
Step = int | str | None
"""A number of updates, "best" or "latest"; None for the parameters that the job delivers."""


class Jobs:
    """Every method raises `gradserve.ClientError` as those of `Gradserve` do."""

    def __init__(self, http: Transport) -> None:
        self._http = http

    def create(
        self, spec: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> types.SubmittedJob:
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
        return cast(types.SubmittedJob, document(response))

    def retrieve(self, id: str) -> types.Job:
        return cast(types.Job, self._get(path_of(id)))

    def list(
        self,
        *,
        limit: int = 20,
        state: str | None = None,
        name: str | None = None,
        id_prefix: str | None = None,
    ) -> types.Jobs:
        """At most `limit` jobs, the newest first; of one state or name, or whose ids begin so."""
        query: dict[str, Any] = present(state=state, name=name, id_prefix=id_prefix)
        return cast(types.Jobs, self._pages("/v1/jobs", query, limit, PAGE))

    def cancel(self, id: str) -> types.Job:
        """Requests the end of a job; a worker that trains it stops within a second."""
        return self._act(id, "cancel")

    def pause(self, id: str) -> types.Job:
        """Pauses a job; its progress is kept until it is resumed."""
        return self._act(id, "pause")

    def resume(self, id: str) -> types.Job:
        """Queues a paused job again, or withdraws a pause that has not happened yet."""
        return self._act(id, "resume")

    def delete(self, id: str) -> None:
        """Deletes a job that has ended, with its history and parameters."""
        self._http.send("DELETE", path_of(id))

    def watch(self, id: str) -> Iterator[types.Job]:
        """Yields the job now and whenever the service suggests to ask again, until it has ended.

        Continues over a restart of the service that takes less than half a minute.
        """
        while True:
            response = self._http.send("GET", path_of(id), retry_seconds=WATCH_RETRY_SECONDS)
            job = cast(types.Job, document(response))
            yield job
            if job["terminal"]:
                return
            time.sleep(retry_after(response, default=POLL_SECONDS))

    def wait(self, id: str, *, timeout: float | None = None) -> types.Job:
        """Waits until a job has ended or is paused, and returns it.

        Raises ClientError, besides, where that takes longer than `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        for job in self.watch(id):
            if job["state"] == "paused":
                break
            if until is not None and not job["terminal"] and time.monotonic() > until:
                raise ClientError(f"{id} is still {job['state']} after {timeout:g} s")
        return job

    def list_events(self, id: str) -> types.Events:
        """Everything that has happened to a job, oldest first."""
        events: types.Events = []
        while page := self._get(path_of(id, "events"), {"after": len(events)})["items"]:
            events += page
        return events

    def history(
        self, id: str, *, after_step: int = -1, max_points: int | None = None
    ) -> types.History:
        """Every logged step above `after_step`, in order.

        With `max_points` (at least 3), at most so many of them, which look alike when drawn.
        """
        if max_points is not None:
            query = {"after_step": after_step, "max_points": max_points}
            return cast(types.History, self._get(path_of(id, "history"), query)["items"])
        rows: types.History = []
        next_step: int | None = after_step
        while next_step is not None:
            query = {"after_step": next_step, "limit": HISTORY_PAGE}
            page = self._get(path_of(id, "history"), query)
            rows += page["items"]
            next_step = page["next_after_step"]
        return rows

    def parameters(self, id: str, *, step: Step = None) -> types.Parameters:
        """The weights and biases after `step` updates, bit for bit those of the worker.

        `step` is a number of updates, "best" or "latest"; by default it is the one that the job
        delivers, or of a job that has ended without a result that of its newest checkpoint. The
        answer says which one it is. A step that was not kept is computed again by the service,
        which takes as long as the training did from the checkpoint before it.
        """
        return cast(
            types.Parameters,
            self._computed("GET", path_of(id, "parameters"), present(step=step)),
        )

    def predict(self, id: str, rows: Rows | str, *, step: Step = None) -> types.Predictions:
        """Asks the network that a job has trained; returns an item per row, and the step.

        Args:
            rows: lists of values in the order of the columns, dictionaries by column name, an
                array, or CSV text. Values are given as they stand in the data, unscaled. CSV text
                is sent as a whole, so that the service may find it too long.
            step: as in `parameters`.
        """
        path, query = path_of(id, "predict"), present(step=step)
        if isinstance(rows, str):
            headers = {"Content-Type": "text/csv; charset=utf-8"}
            found = self._computed("POST", path, query, content=rows.encode(), headers=headers)
            return cast(types.Predictions, found)
        plain = rows.tolist() if hasattr(rows, "tolist") else list(rows)
        found = {"items": []}
        for start in range(0, max(1, len(plain)), PREDICTED_AT_ONCE):
            body = rows_as_json(plain[start : start + PREDICTED_AT_ONCE])
            headers = {"Content-Type": "application/json"}
            answer = self._computed("POST", path, query, content=body, headers=headers)
            found = {"step": answer["step"], "items": found["items"] + answer["items"]}
            query = {"step": answer["step"]}  # `latest` may mean another one by now
        return cast(types.Predictions, found)

    def evaluate(self, id: str, *, of: str | None = None, step: Step = None) -> types.Evaluation:
        """Judges the network on the rows of `of`: "training" or "validation".

        By default on those for validation where the job keeps some; `step` as in `parameters`.
        """
        query = present(of=of, step=step)
        return cast(types.Evaluation, self._computed("GET", path_of(id, "evaluation"), query))

    def rows(
        self,
        id: str,
        *,
        of: str | None = None,
        step: Step = None,
        sort: str = "row",
        true: str | None = None,
        predicted: str | None = None,
        limit: int = 100,
    ) -> types.JudgedRows:
        """At most `limit` rows with what the network says of each.

        Args:
            of, step: as in `evaluate`.
            sort: "row", "loss", or "-loss" for the worst first.
            true, predicted: only rows of this class, or predicted as it.
        """
        query = present(of=of, step=step, sort=sort, true=true, predicted=predicted)
        return cast(types.JudgedRows, self._pages(path_of(id, "rows"), query, limit, ROW_PAGE))

    def model(self, id: str, *, step: Step = None) -> MLP:
        """The network as `Value`s, which takes inputs as the first layer does.

        `parameters(id)["preprocessing"]` says how a row becomes such inputs.
        """
        from engine import MLP, Layer  # needs NumPy nowhere, but is not needed by the others

        layers = []
        for layer in self.parameters(id, step=step)["layers"]:
            rows = zip(layer["weights"], layer["biases"], strict=True)
            numbers = iter([number for weights, bias in rows for number in (*weights, bias)])
            layers.append(
                Layer(
                    len(layer["weights"][0]),
                    len(layer["biases"]),
                    activation=layer["activation"],
                    draw=numbers.__next__,
                    draw_bias=numbers.__next__,
                )
            )
        return MLP.of(layers)

    def download(
        self, id: str, path: str | Path, *, format: str | None = None, step: Step = None
    ) -> Path:
        """Writes the trained network to a file: safetensors, onnx, json or python.

        The ending of the file's name chooses the format, unless it is given: .safetensors, .onnx,
        .json or .py. `step` is as in `parameters`. An onnx file takes raw rows and a python file
        defines `predict(row)`; docs/exports.md says what each of them holds.
        """
        to = Path(path)
        query = present(format=format or files.format_of(to), step=step)
        return files.write(to, self._answer("GET", path_of(id, "model"), query).content)

    def plot(self, id: str, kind: str, path: str | Path, **query: Any) -> Path:
        """Writes a picture of a job to an SVG file; docs/pictures.md names the kinds.

        `query` are those of the picture, such as `step=40`, `theme="dark"` or `x="petal width"`.
        A graph may also be had as text, in a file that ends with .dot or .json.
        """
        to = Path(path)
        asked = query | present(format=files.picture_format(kind, to))
        rest = ["graph"] if kind == "graph" else ["plots", f"{quote(kind, safe='')}.svg"]
        return files.write(to, self._answer("GET", path_of(id, *rest), asked).content)

    def _act(self, id: str, action: str) -> types.Job:
        return cast(types.Job, document(self._http.send("POST", path_of(id, action))))

    def _pages(self, path: str, query: dict[str, Any], limit: int, page_size: int) -> Any:
        """The first `limit` items of all pages."""
        items: Any = []
        while len(items) < limit:
            query["limit"] = min(limit - len(items), page_size)
            page = self._computed("GET", path, query)
            items += page["items"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        return items

    def _computed(
        self, method: str, path: str, query: Mapping[str, Any], **request: Any
    ) -> dict[str, Any]:
        return document(self._answer(method, path, query, **request))

    def _answer(
        self, method: str, path: str, query: Mapping[str, Any], **request: Any
    ) -> httpx.Response:
        """The answer to a question that may take time: asked again until it has been computed."""
        until = time.monotonic() + ANSWER_SECONDS
        headers = {"Prefer": f"wait={WAIT_SECONDS}"} | request.pop("headers", {})
        timeout = self._http.timeout + WAIT_SECONDS
        params: Mapping[str, Any] | None = query or None
        while True:
            response = self._http.send(
                method, path, params=params, headers=headers, timeout=timeout, **request
            )
            if response.status_code != httpx.codes.ACCEPTED:
                return response
            pause = retry_after(response, default=POLL_SECONDS)
            if time.monotonic() + pause > until:
                raise ClientError(
                    f"{self._http.url} has not computed the answer within {ANSWER_SECONDS:g} s; "
                    "ask again"
                )
            time.sleep(pause)
            path, params = location(response), None

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return document(self._http.send("GET", path, params=query))


def rows_as_json(rows: Rows) -> bytes:
    """The body that asks for predictions. Numbers of NumPy are written as Python's."""
    try:
        text = json.dumps({"rows": rows}, allow_nan=False, default=lambda number: number.item())
    except (ValueError, TypeError, AttributeError):
        raise ClientError(
            "the rows hold something that JSON cannot express; values are finite numbers, texts, "
            "booleans, or None where there is none"
        ) from None
    return text.encode()


def path_of(id: str, *rest: str) -> str:
    return "/".join(["/v1/jobs", quote(id, safe=""), *rest])


def present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
