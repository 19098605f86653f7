"""Asking a trained network over HTTP: the answers are the engine's, at any step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.inference import predict, preprocessing_of
from engine.networks.forward import layers_of
from engine.spec import JobSpec
from engine.train import train
from service.api import preprocessing as made_again
from service.api.resources import predictions
from service.store import preprocessing
from tests.worker.conftest import Bench
from tests.worker.test_compute import Answers, states_of

CSV = "height,sort,kind\n" + "".join(
    f"{150 + 7 * i % 40},{'ab'[i % 2]},{('oak', 'fir', 'elm')[i % 3]}\n" for i in range(30)
)
ROWS: list[Any] = [[171.5, "a"], {"sort": "b", "height": 160}, [150, "b"]]


def named(loss: str = "cross_entropy", **training: Any) -> JobSpec:
    """A job on a table with a number, a text and named classes, standardised."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "csv", "text": CSV, "standardise": True},
            "model": {"layers": [{"units": 4, "activation": "tanh"}, {"units": 3}]},
            "loss": {"kind": loss},
            "optimizer": {"learning_rate": 0.3, "momentum": 0.5},
            "training": {"steps": 20, "checkpoint_every": 8, "validation_fraction": 0.2} | training,
        }
    )


def other(kind: str, loss: str, **dataset: Any) -> JobSpec:
    return JobSpec.model_validate(
        {
            "dataset": {"kind": kind, "n_samples": 30, **dataset},
            "model": {"layers": [{"units": 4, "activation": "relu"}, {"units": 1}]},
            "loss": {"kind": loss},
            "optimizer": {"learning_rate": 0.05},
            "training": {"steps": 12},
        }
    )


class Asked:
    """A job that was trained, and a client that asks it."""

    def __init__(self, client: FlaskClient, bench: Bench, spec: JobSpec) -> None:
        self.client, self.bench, self.spec = client, bench, spec
        self.id = bench.submit(spec)
        bench.work(self.id)

    def predict(self, body: Any, **options: Any) -> TestResponse:
        return self.client.post(f"/v1/jobs/{self.id}/predict", json=body, **options)

    def errors(self, body: Any, **options: Any) -> list[tuple[str, str]]:
        answer = self.predict(body, **options)
        assert answer.status_code == 422, answer.text
        return [(error["pointer"], error["detail"]) for error in answer.json["errors"]]

    def engine(self, parameters: Any, rows: Any = ROWS) -> list[dict[str, Any]]:
        activations = [layer.activation for layer in self.spec.model.layers]
        layers = layers_of(parameters, self.spec.sizes(), activations)
        return predict(preprocessing_of(self.spec), layers, rows)


@pytest.fixture
def asked(client: FlaskClient, bench: Bench) -> Asked:
    return Asked(client, bench, named())


@pytest.fixture
def ask(asked: Asked) -> Answers:
    return Answers(asked.client, asked.bench)


def test_every_step_answers_as_the_engine_does_with_the_trainings_own_state(
    asked: Asked, ask: Answers
) -> None:
    known = states_of(asked.spec)
    with ask.worker():
        for step, state in known.items():
            answer = asked.predict({"rows": ROWS, "step": step}, headers={"Prefer": "wait=30"})
            assert answer.json == {"step": step, "items": asked.engine(state.parameters)}
    last = asked.predict({"rows": ROWS}).json
    assert last["step"] == 20
    assert set(last["items"][0]) == {"class", "probabilities"}
    assert list(last["items"][0]["probabilities"]) == ["elm", "fir", "oak"]
    assert asked.predict({"rows": ROWS, "step": "latest"}).json == last
    assert asked.predict({"rows": ROWS, "step": 3}, query_string={"step": "20"}).json == last
    best = asked.predict({"rows": ROWS, "step": "best"}).json
    assert best["step"] == asked.bench.job(asked.id).best_step
    lines = "sort;height\na;171,5\nb;160\nb;150\n"
    path = f"/v1/jobs/{asked.id}/predict"
    for text in (lines, "﻿" + lines.replace("\n", "\r\n"), "171.5,a\n160,b\n150,b"):
        found = asked.client.post(f"{path}?step=20", data=text.encode(), content_type="text/csv")
        assert found.json == last


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        (other("moons", "max_margin"), {"class", "score"}),
        (other("moons", "binary_cross_entropy"), {"class", "probabilities"}),
        (other("plane", "mse", standardise=True, standardise_targets=True), {"value"}),
    ],
    ids=["max_margin", "sigmoid", "value"],
)
def test_each_kind_of_output(
    client: FlaskClient, bench: Bench, spec: JobSpec, keys: set[str]
) -> None:
    asked = Asked(client, bench, spec)
    rows = [[0.5, -1.25], [2, 3]]
    *_, last = train(spec)
    found = asked.predict({"rows": rows}).json
    assert found == {"step": 12, "items": asked.engine(last.snapshot().parameters, rows)}
    assert set(found["items"][0]) == keys


def test_what_the_model_remembers_is_stored_once_shown_and_made_again(
    asked: Asked, ask: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = preprocessing_of(asked.spec)
    shown = ask.get(asked.id).json
    assert shown["preprocessing"] == known.document()
    assert shown["preprocessing"]["columns"][1] == {
        "name": "sort",
        "type": "text",
        "categories": ["a", "b"],
    }
    bench = asked.bench
    with bench.sessions.begin() as session:
        stored = preprocessing.find(session, bench.job(asked.id).pk)
    assert stored is not None
    assert stored.to_json() == known.to_json()

    before = asked.predict({"rows": ROWS}).json
    bench.change("DELETE FROM preprocessing")  # as before this was stored
    assert ask.get(asked.id).json == shown  # small enough to be made at once
    monkeypatch.setattr(made_again, "SMALL_SPEC", 0)
    first = asked.predict({"rows": ROWS}, headers={"Prefer": "wait=0"})
    assert first.status_code == 202
    assert first.headers["Location"] == f"/v1/jobs/{asked.id}/predict"
    with ask.worker():
        assert asked.predict({"rows": ROWS}, headers={"Prefer": "wait=30"}).json == before
    assert ask.get(asked.id).json == shown


def test_a_claim_that_resumes_changes_nothing_of_it(client: FlaskClient, bench: Bench) -> None:
    id = bench.submit(named(steps=20_000))
    bench.work(id, at_slice=lambda number: number >= 3)
    bench.change("UPDATE preprocessing SET document = '{}'")
    bench.work(id, at_slice=lambda number: number >= 3)
    assert bench.rows("SELECT document FROM preprocessing") == [("{}",)]
    bench.change("DELETE FROM preprocessing")
    client.post(f"/v1/jobs/{id}/cancel")
    assert client.delete(f"/v1/jobs/{id}").status_code == 204


@pytest.mark.parametrize(
    ("body", "place", "says"),
    [
        ({}, "/rows", "must be a list"),
        ({"rows": "1,2"}, "/rows", "must be a list"),
        ({"rows": []}, "/rows", "there are no rows"),
        ({"rows": [[1, "a"], [1]]}, "/rows/1", "has 1 values, and the model has 2 columns"),
        ({"rows": [{"height": 1}]}, "/rows/0", "lacks sort"),
        ({"rows": [{"height": 1, "sort": "a", "x/y": 1}]}, "/rows/0/x~1y", "no column 'x/y'"),
        ({"rows": [[1, "c"]]}, "/rows/0/1", "not a category of sort; there are a"),
        ({"rows": [["tall", "a"]]}, "/rows/0/0", "height is a number, not 'tall'"),
        ({"rows": [[None, "a"]]}, "/rows/0/0", "has no value"),
        ({"rows": [[1e999, "a"]]}, "/rows/0/0", "finite"),
        ({"rows": [[True, "a"]]}, "/rows/0/0", "height is a number"),
        ({"rows": [7]}, "/rows/0", "a row is a list"),
        ({"rows": [[1, "a", "yew"]]}, "/rows/0/2", "not a class of kind"),
        ({"rows": ROWS, "step": 21}, "/step", "has finished 20 updates"),
        ({"rows": ROWS, "step": "first"}, "/step", "must be a number of updates"),
        ({"rows": ROWS, "step": 1.5}, "/step", "must be a number of updates"),
        ({"rows": ROWS, "step": True}, "/step", "must be a number of updates"),
        ({"rows": ROWS, "steps": 1}, "/steps", "no such field"),
    ],
)
def test_wrong_rows_are_refused_with_their_place(
    sqlite_asked: Asked, body: Any, place: str, says: str
) -> None:
    text = json.dumps(body).replace("Infinity", "1e999")
    answer = sqlite_asked.client.post(
        f"/v1/jobs/{sqlite_asked.id}/predict", data=text, content_type="application/json"
    )
    assert answer.status_code == 422, answer.text
    (error,) = answer.json["errors"]
    assert error["pointer"] == place
    assert says in error["detail"]


@pytest.fixture
def sqlite_asked(sqlite_client: FlaskClient, sqlite_bench: Bench) -> Asked:
    return Asked(sqlite_client, sqlite_bench, named())


def test_wrong_requests_are_refused(sqlite_asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sqlite_asked
    path = f"/v1/jobs/{asked.id}/predict"

    def send(data: bytes, content_type: str, path: str = path) -> TestResponse:
        return asked.client.post(path, data=data, content_type=content_type)

    assert send(b"x", "text/plain").status_code == 415
    assert "text/csv" in send(b"x", "text/plain").json["detail"]
    assert send(b"{", "application/json").status_code == 400
    assert send(b"\xff\xfe", "text/csv").status_code == 400
    (wrong,) = send(b"height,kinds\n1,2\n", "text/csv").json["errors"]
    assert "no column kinds; the columns are height, sort" in wrong["detail"]
    (wrong,) = send(b"height,sort\n1,a\ntall,b\n", "text/csv").json["errors"]
    assert wrong["detail"].startswith("line 3, column 1: ")
    assert send(b"1,a", "text/csv", path + "?step=99").json["errors"][0]["pointer"] == "/step"
    unknown = f"/v1/jobs/job_{'0' * 24}/predict"
    assert asked.client.post(unknown, json={"rows": ROWS}).status_code == 404
    queued = asked.bench.submit(named())
    answer = asked.client.post(f"/v1/jobs/{queued}/predict", json={"rows": ROWS})
    assert (answer.status_code, answer.json["title"]) == (409, "The job has no parameters")

    monkeypatch.setattr(predictions, "MOST_NANOSECONDS", 100_000)
    (error,) = asked.errors({"rows": ROWS * 10})
    assert error[0] == "/rows"
    assert "there are 30 rows, and this network answers at most" in error[1]
    assert "send them in parts" in error[1]
    many = b"1,a\n" * 15
    assert "send them in parts" in send(many, "text/csv").json["detail"]
    assert "send them in parts" in send(many * 100, "text/csv").json["detail"]


def test_a_million_rows_are_refused_quickly(sqlite_asked: Asked) -> None:
    for body in (b'{"rows":[' + b"[1]," * 1_000_000 + b"[1]]}", b"1,a\n" * 1_000_000):
        kind = "application/json" if body[0] == ord("{") else "text/csv"
        answer = sqlite_asked.client.post(
            f"/v1/jobs/{sqlite_asked.id}/predict", data=body, content_type=kind
        )
        assert answer.status_code == 422
        assert "part" in answer.json["detail"]
