"""The resource `client.jobs`: its verbs, and what asks and judges a trained network."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

import gradserve.jobs
from engine import Value
from engine.inference import Preprocessing, predict
from engine.networks.forward import layers_from
from gradserve.cli.job_file import read_job
from gradserve.client import Gradserve
from gradserve.errors import ClientError
from gradserve.types import Job
from tests.gradserve.test_client import xor
from tests.gradserve.test_examples import EXAMPLES, table

POINTS = [[0.0, 1.0], [1.0, 1.0], [0.25, 0.5]]


@pytest.fixture(scope="module")
def job(service_url: str) -> Job:
    with Gradserve(service_url) as client:
        return client.jobs.wait(client.jobs.create(xor())["id"], timeout=60)


def test_the_verbs_are_those_of_the_flat_methods(service: Gradserve, job: Job) -> None:
    id = job["id"]
    assert job["state"] == "succeeded"
    assert service.jobs.retrieve(id) == service.get(id) == job
    assert id in [found["id"] for found in service.jobs.list(name="xor")]
    assert service.jobs.history(id) == service.history(id)
    assert len(service.jobs.history(id, max_points=5)) == 5
    assert service.jobs.parameters(id) == service.parameters(id)
    kinds = [event["kind"] for event in service.jobs.list_events(id)]
    assert kinds == ["created", "claimed", "succeeded"]
    other = service.jobs.create(xor(training={"steps": 100_000_000}))["id"]
    with pytest.raises(ClientError, match=f"{other} is still .* after 0 s"):
        service.jobs.wait(other, timeout=0)
    service.jobs.pause(other)
    assert service.jobs.wait(other)["state"] == "paused"
    service.jobs.resume(other)
    service.jobs.cancel(other)
    assert service.jobs.wait(other)["state"] == "cancelled"
    service.jobs.delete(other)
    with pytest.raises(ClientError, match="no job"):
        service.jobs.retrieve(other)


def test_a_network_is_asked_in_any_form_and_by_parts(
    service: Gradserve, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = service.jobs.predict
    found = ask(job["id"], POINTS)
    assert found["step"] == 20
    assert set(found["items"][0]) == {"class", "score"}
    assert ask(job["id"], np.array(POINTS)) == found
    assert ask(job["id"], [tuple(np.float64(x) for x in row) for row in POINTS]) == found
    assert ask(job["id"], [{"x": x, "y": y} for x, y in POINTS]) == found
    assert ask(job["id"], "y,x\n" + "".join(f"{y},{x}\n" for x, y in POINTS)) == found
    monkeypatch.setattr(gradserve.jobs, "PREDICTED_AT_ONCE", 2)
    assert ask(job["id"], POINTS) == found
    assert ask(job["id"], POINTS, step=7)["step"] == 7
    parameters = service.jobs.parameters(job["id"])
    memory = Preprocessing.from_json(json.dumps(parameters["preprocessing"]))
    assert predict(memory, layers_from(parameters), POINTS) == found["items"]
    model = service.jobs.model(job["id"])
    for row, item in zip(POINTS, found["items"], strict=True):
        output = model(row)
        assert isinstance(output, Value)
        assert output.data == item["score"]
    for rows in ([[float("nan"), 1.0]], [[object(), 1.0]]):
        with pytest.raises(ClientError, match="JSON cannot express"):
            ask(job["id"], rows)
    with pytest.raises(ClientError, match="there are no rows"):
        ask(job["id"], [])
    with pytest.raises(ClientError, match="/rows/0: the row has 1 values"):
        ask(job["id"], [[1]])


def test_a_network_is_judged(service: Gradserve, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    found = service.jobs.evaluate(job["id"])
    final = job.get("final")
    assert final is not None
    assert (found["of"], found["step"], found["loss"]) == ("training", 20, final["loss"])
    assert found["score"] == final["accuracy"]
    assert service.jobs.evaluate(job["id"], step=3)["step"] == 3
    worst = service.jobs.rows(job["id"], sort="-loss", limit=3)
    monkeypatch.setattr(gradserve.jobs, "ROW_PAGE", 2)
    assert service.jobs.rows(job["id"], sort="-loss", limit=3) == worst
    assert len(service.jobs.rows(job["id"])) == found["rows"]
    with pytest.raises(ClientError, match="/of: the job keeps no rows"):
        service.jobs.evaluate(job["id"], of="validation")


def test_a_file_with_names_is_learned_and_asked_by_name(service: Gradserve) -> None:
    header, *rows = table("iris")
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    example = read_job(str(EXAMPLES / "iris.json"))
    example["dataset"] |= {"kind": "csv", "text": text.getvalue()}
    id = service.jobs.wait(service.jobs.create(example)["id"], timeout=60)["id"]
    held_out = service.jobs.rows(id, of="validation")
    asked = service.jobs.predict(id, [row["inputs"] for row in held_out])
    right = [
        answer["class"] == rows[row["row"]][-1]
        for answer, row in zip(asked["items"], held_out, strict=True)
    ]
    assert len(right) == 30
    assert sum(right) / len(right) >= 0.95
    assert service.jobs.evaluate(id)["score"] == sum(right) / len(right)
