"""Files to take away, asked for over HTTP and made by a worker in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import onnxruntime
import pytest
from safetensors.numpy import load
from werkzeug.test import TestResponse

from engine.inference import predict, preprocessing_of
from engine.networks.forward import layers_from
from service.api.app import create_app
from tests.worker.conftest import Bench
from tests.worker.test_compute import STEPS, Answers, momentum_spec

SPEC = momentum_spec("scalar")


@pytest.fixture
def ask(sqlite_bench: Bench) -> Iterator[Answers]:
    app = create_app(replace(sqlite_bench.settings, auth="off"))
    with app.test_client() as client:
        yield Answers(client, sqlite_bench)
    app.extensions["gradserve"].close()


def get(ask: Answers, id: str, **query: Any) -> TestResponse:
    with ask.worker():
        return ask.client.get(
            f"/v1/jobs/{id}/model", query_string=query, headers={"Prefer": "wait=30"}
        )


def trained(ask: Answers) -> str:
    id = ask.bench.submit(SPEC)
    ask.bench.work(id)
    return id


def test_every_format_holds_the_parameters_of_the_step(ask: Answers) -> None:
    id = trained(ask)
    for step in (None, 3):  # delivered, and replayed
        query: dict[str, Any] = {} if step is None else {"step": step}
        number = STEPS if step is None else step
        document = get(ask, id, **query).json
        assert document["origin"]["step"] == number
        assert document["origin"]["job"] == id
        with ask.worker():
            parameters = ask.get(id, step, Prefer="wait=30").json
        assert document["layers"] == parameters["layers"]
        row = [0.3, -0.7]
        memory = preprocessing_of(SPEC)
        wanted = predict(memory, layers_from(parameters), [row])[0]

        tensors = get(ask, id, format="safetensors", **query)
        name = f"attachment; filename={id}-step-{number}.safetensors"
        assert tensors.headers["Content-Disposition"] == name
        assert load(tensors.data)["0.weight"].tolist() == parameters["layers"][0]["weights"]

        source = get(ask, id, format="python", **query)
        assert source.mimetype == "text/x-python"
        names: dict[str, Any] = {}
        exec(source.text, names)
        assert names["predict"](row) == wanted

        session = onnxruntime.InferenceSession(get(ask, id, format="onnx", **query).data)
        assert session.run(["class"], {"numbers": [row]})[0].tolist() == [wanted["class"]]


def test_a_file_says_which_loss_its_parameters_have(ask: Answers) -> None:
    id = trained(ask)
    final = ask.bench.job(id).final_loss
    assert get(ask, id).json["origin"]["loss"] == final
    assert f"step {STEPS}, loss max_margin {final!r}" in get(ask, id, format="python").text
    logged = dict(row[:2] for row in ask.bench.history(id))
    assert get(ask, id, step=3).json["origin"]["loss"] == logged[3]


def test_what_cannot_be_taken_away_is_refused_with_its_place(ask: Answers) -> None:
    id = ask.bench.submit(SPEC)
    path = f"/v1/jobs/{id}/model"
    assert ask.client.get(path).status_code == 409
    for query, place in (("format=pickle", "/format"), ("step=1", "/step")):
        answer = ask.client.get(f"{path}?{query}")
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, place)
    assert ask.client.get("/v1/jobs/job_0/model").status_code == 404


def test_while_a_file_is_made_the_answer_says_where_it_will_be(ask: Answers) -> None:
    id = trained(ask)
    first = ask.client.get(f"/v1/jobs/{id}/model?format=onnx", headers={"Prefer": "respond-async"})
    assert first.status_code == 202
    ask.compute()
    again = ask.client.get(first.headers["Location"])
    assert again.status_code == 200
    assert json.loads(ask.rows()[0][3]) == {"step": STEPS, "format": "onnx"}


def test_a_file_holds_what_the_job_stored_of_its_data(ask: Answers) -> None:
    id = trained(ask)
    known = preprocessing_of(SPEC).to_json()
    ask.bench.change(
        "UPDATE preprocessing SET document = :document", document=known.replace('"x"', '"across"')
    )
    columns = [column["name"] for column in get(ask, id).json["preprocessing"]["columns"]]
    assert columns == ["across", "y"]
    ask.bench.change("DELETE FROM preprocessing")  # as older jobs have none
    columns = [column["name"] for column in get(ask, id, step=2).json["preprocessing"]["columns"]]
    assert columns == ["x", "y"]
