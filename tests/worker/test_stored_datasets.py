"""Jobs that name a stored data set are trained and replayed with its rows, and never lose them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from engine.spec import JobSpec
from engine.train import train
from service.store import parameters
from tests.worker.conftest import Bench
from worker import compute

ROWS = "size,colour,kind\n1,red,a\n2,blue,b\n3,red,b\n4,green,a\n5,blue,a\n"
NO_WAIT = {"Prefer": "wait=0"}
STEPS = 40


def document(dataset: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": dataset | {"standardise": True},
        "model": {"layers": [{"units": 3, "activation": "tanh"}, {"units": 2}]},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"learning_rate": 0.1},
        "training": {"steps": STEPS, "checkpoint_every": 30},
    }


@pytest.fixture
def dataset_id(client: FlaskClient) -> str:
    answer = client.post("/v1/datasets", data=ROWS, content_type="text/csv")
    id: str = answer.json["id"]
    return id


def submit(client: FlaskClient, dataset_id: str) -> str:
    answer = client.post("/v1/jobs", json=document({"kind": "stored", "id": dataset_id}))
    assert answer.status_code == 201, answer.text
    id: str = answer.json["id"]
    return id


def inline_states() -> dict[int, Any]:
    """The parameters after each step of the same job with the rows in its specification."""
    spec = JobSpec.model_validate(document({"kind": "csv", "text": ROWS}))
    training = spec.training.model_copy(update={"checkpoint_every": 1})
    found = (one.snapshot() for one in train(spec.model_copy(update={"training": training})))
    return {state.step: state.parameters for state in found}


def test_training_has_the_bits_of_the_same_rows_sent_with_the_job(
    client: FlaskClient, bench: Bench, dataset_id: str
) -> None:
    id = submit(client, dataset_id)
    bench.work(id)
    job = client.get(f"/v1/jobs/{id}").json
    assert job["state"] == "succeeded", job["error"]
    assert job["spec"]["dataset"]["id"] == dataset_id
    expected = parameters.pack([4, 3, 2], inline_states()[STEPS]).sha256
    assert client.get(f"/v1/jobs/{id}/parameters").json["sha256"] == expected


def test_a_job_is_replayed_after_its_data_set_was_deleted(
    client: FlaskClient, bench: Bench, dataset_id: str
) -> None:
    id = submit(client, dataset_id)
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 409
    bench.work(id)
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 204
    question = f"/v1/jobs/{id}/parameters?step=17"
    assert client.get(question, headers=NO_WAIT).status_code == 202
    compute.compute_next(bench._context(lambda number: False))
    answer = client.get(question, headers=NO_WAIT)
    assert answer.status_code == 200, answer.text
    expected = parameters.pack([4, 3, 2], inline_states()[17])
    assert answer.json["sha256"] == expected.sha256
    weights = np.array(answer.json["layers"][0]["weights"])
    assert weights.shape == (3, 4)


def test_a_paused_job_keeps_its_data_set(
    client: FlaskClient, bench: Bench, dataset_id: str
) -> None:
    id = submit(client, dataset_id)
    assert client.post(f"/v1/jobs/{id}/pause").status_code == 200
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 409
    assert client.post(f"/v1/jobs/{id}/resume").status_code == 200
    bench.work(id)
    assert client.get(f"/v1/jobs/{id}").json["state"] == "succeeded"
