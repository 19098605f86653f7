"""A job that asks for more than the settings allow is refused with the place that decides it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.spec import JobSpec
from service.api.app import create_app
from service.common.settings import Settings

Spec = dict[str, Any]

EXAMPLES = sorted(Path("examples").glob("*.json"))


@pytest.fixture
def settings(sqlite_database: str, broker: str, tmp_path: Path) -> Settings:
    return Settings(
        auth="off", database_url=sqlite_database, broker_url=broker, data_dir=str(tmp_path)
    )


def spec(**changes: Any) -> Spec:
    """A job of a few numbers, with some parts exchanged."""
    return {
        "dataset": {"kind": "xor"},
        "model": {"layers": [{"units": 2, "activation": "tanh"}, {"units": 1}]},
        "loss": {"kind": "mse"},
        "optimizer": {"learning_rate": 0.1},
        "training": {"steps": 3},
    } | changes


def layers(*units: int) -> Spec:
    return {"layers": [{"units": n, "activation": "tanh"} for n in units]}


def inline(rows: int, inputs: int = 1) -> Spec:
    return {"kind": "inline", "x": [[1.0] * inputs] * rows, "y": [0.0, 1.0] * (rows // 2)}


MANY = {"kind": "moons", "n_samples": 100_000}
CLASSES = {"kind": "cross_entropy"}
TOO_MUCH = {
    "steps on wide layers": (
        spec(dataset=MANY, model=layers(1400, 1400, 1), training={"steps": 100_000_000}),
        "/training/steps",
    ),
    "steps of Values": (
        spec(dataset=MANY, training={"steps": 100_000}, executor="scalar"),
        "/training/steps",
    ),
    "validation in every step": (
        spec(
            dataset=MANY,
            model=layers(1000, 1000, 1),
            training={
                "steps": 1_000_000,
                "log_every": 1,
                "batch_size": 1,
                "validation_fraction": 0.9,
            },
        ),
        "/training/steps",
    ),
    "deadline": (
        spec(training={"steps": 3, "deadline_seconds": 1e9}),
        "/training/deadline_seconds",
    ),
    "rows × output units": (
        spec(dataset=inline(100_000), model=layers(4096), loss=CLASSES),
        "/model/layers/0/units",
    ),
    "rows × output units after a hidden layer": (
        spec(dataset=inline(30_000), model=layers(8, 4000), loss=CLASSES),
        "/model/layers/1/units",
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_refused_with_its_place_and_a_remedy(client: FlaskClient, name: str) -> None:
    asked, pointer = TOO_MUCH[name]
    for query in ("", "?validate_only=true"):
        answer = client.post(f"/v1/jobs{query}", json=asked)
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
        (error,) = answer.json["errors"]
        assert error["pointer"] == pointer
        assert "lower" in error["detail"]
    assert client.get("/v1/jobs").json["items"] == []


def test_what_a_refusal_allows_is_accepted(client: FlaskClient) -> None:
    asked, _ = TOO_MUCH["steps on wide layers"]
    detail = client.post("/v1/jobs", json=asked).json["errors"][0]["detail"]
    steps = int(detail.rpartition("lower the steps to ")[2].replace(",", ""))
    assert steps > 100
    assert client.post("/v1/jobs", json=asked | {"training": {"steps": steps}}).status_code == 201


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_takes_a_small_part_of_what_is_allowed(path: Path) -> None:
    example, allowed = JobSpec.model_validate(json.loads(path.read_text())), Settings()
    assert 1_000 * example.work() < allowed.max_job_work
    assert 10 * example.memory().total < allowed.max_job_memory_bytes


def test_a_million_parameters_may_be_trained_for_hours(client: FlaskClient) -> None:
    """1e14 multiplications take an hour of a core at the fastest."""
    asked = spec(
        dataset={"kind": "digits"},
        model=layers(960, 960, 10),
        loss=CLASSES,
        training={"steps": 1_000_000, "batch_size": 32},
    )
    answer = client.post("/v1/jobs?validate_only=true", json=asked)
    assert answer.status_code == 200, answer.json
    assert answer.json["parameters"] > 990_000
    assert answer.json["work"] > 9e13


@pytest.mark.parametrize(
    ("changes", "asked", "pointer"),
    [
        ({"max_job_work": 100}, spec(), "/training/steps"),
        ({"max_job_memory_bytes": 1000}, spec(), "/model/layers"),
        ({"max_job_memory_bytes": 2**24}, spec(dataset=inline(1000, 400)), "/dataset"),
        (
            {"max_deadline_seconds": 10.0},
            spec(training={"steps": 3, "deadline_seconds": 10.5}),
            "/training/deadline_seconds",
        ),
    ],
)
def test_settings_lower_the_limits(
    settings: Settings, changes: dict[str, Any], asked: Spec, pointer: str
) -> None:
    app = create_app(replace(settings, **changes))
    answer = app.test_client().post("/v1/jobs", json=asked)
    app.extensions["gradserve"].close()
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_a_repeated_request_gets_its_job_under_lower_limits_too(settings: Settings) -> None:
    headers = {"Idempotency-Key": "once"}
    statuses = []
    for allowed in (settings, replace(settings, max_job_work=1)):
        app = create_app(allowed)
        answer = app.test_client().post("/v1/jobs", json=spec(), headers=headers)
        statuses.append((answer.status_code, answer.headers.get("Idempotency-Replayed")))
        app.extensions["gradserve"].close()
    assert statuses == [(201, None), (201, "true")]
