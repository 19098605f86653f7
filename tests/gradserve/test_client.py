"""The Python client against the real service."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest

import gradserve.jobs
from engine.spec import JobSpec
from engine.train import train
from gradserve.client import Gradserve
from gradserve.errors import ClientError
from gradserve.types import Job


def xor(**changes: Any) -> dict[str, Any]:
    return {
        "name": "xor",
        "dataset": {"kind": "xor"},
        "model": {"layers": [{"units": 4, "activation": "tanh"}, {"units": 1}]},
        "loss": {"kind": "max_margin"},
        "optimizer": {"learning_rate": 0.1},
        "training": {"steps": 20},
    } | changes


def diverging() -> dict[str, Any]:
    return xor(
        model={"layers": [{"units": 2}, {"units": 1}]},
        loss={"kind": "mse"},
        optimizer={"learning_rate": 1e3},
        training={"steps": 100},
    )


def ended(service: Gradserve, job: Job) -> Job:
    *_, last = service.watch(job["id"])
    return last


def test_the_service_is_ready(service: Gradserve) -> None:
    assert service.ready()


def test_a_job_is_trained_and_its_history_has_every_step_once(service: Gradserve) -> None:
    job = ended(service, service.submit(xor()))
    assert (job["state"], job["step"]) == ("succeeded", 20)
    history = service.history(job["id"])
    assert [row["step"] for row in history] == list(range(20))
    assert history[-1]["loss"] == job["loss"]


def test_a_history_of_many_pages_is_one_list(
    service: Gradserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended(service, service.submit(xor()))
    whole = service.history(job["id"])
    monkeypatch.setattr(gradserve.jobs, "HISTORY_PAGE", 7)
    assert service.history(job["id"]) == whole
    assert service.history(job["id"], after_step=9) == whole[10:]


def test_parameters_arrive_with_the_bits_that_were_trained(service: Gradserve) -> None:
    job = ended(service, service.submit(xor()))
    parameters = service.parameters(job["id"])
    numbers = [
        number
        for layer in parameters["layers"]
        for weights, bias in zip(layer["weights"], layer["biases"], strict=True)
        for number in (*weights, bias)
    ]
    raw = struct.pack(f"<{len(numbers)}d", *numbers)
    assert parameters["step"] == 20
    assert hashlib.sha256(raw).hexdigest() == parameters["sha256"]


def test_any_step_has_its_parameters(service: Gradserve) -> None:
    spec = xor(training={"steps": 20, "checkpoint_every": 8, "batch_size": 3})
    job = ended(service, service.submit(spec))
    states = {}
    for progress in train(
        JobSpec.model_validate(spec | {"training": {**spec["training"], "checkpoint_every": 1}})
    ):
        state = progress.snapshot()
        states[state.step] = hashlib.sha256(state.parameters.tobytes()).hexdigest()
    for step in (0, 7, 8, 13, 20):
        found = service.parameters(job["id"], step=step)
        assert (found["step"], found["sha256"]) == (step, states[step])
    assert service.parameters(job["id"], step="latest") == service.parameters(job["id"])
    best = job.get("best")
    assert best is not None
    assert service.parameters(job["id"], step="best")["sha256"] == states[best["step"]]
    with pytest.raises(ClientError, match="from 0 to 20 are allowed"):
        service.parameters(job["id"], step=21)


def test_a_cancelled_job_keeps_the_parameters_of_its_newest_checkpoint(service: Gradserve) -> None:
    id = service.submit(xor(training={"steps": 100_000_000}))["id"]
    for job in service.watch(id):
        if job["step"]:
            service.cancel(id)
    assert job["state"] == "cancelled"
    found = service.parameters(id)
    assert found["step"] == job["step"] > 0
    assert "parameters" in job["links"]


def test_watching_shows_step_and_loss_moving(service: Gradserve) -> None:
    slow = xor(training={"steps": 20_000, "log_every": 10}, executor="scalar")
    long = service.submit(slow)
    seen = [(job["step"], job["loss"]) for job in service.watch(long["id"])]
    steps = [step for step, _ in seen]
    assert steps == sorted(steps)
    assert len(set(seen)) >= 3
    assert seen[-1][0] == 20_000


def test_one_key_is_one_job(service: Gradserve) -> None:
    first = service.submit(xor(), idempotency_key="the-same")
    assert service.submit(xor(), idempotency_key="the-same")["id"] == first["id"]
    assert service.submit(xor())["id"] != first["id"]


def test_lists_are_newest_first_and_cut_at_the_limit(
    service: Gradserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradserve.jobs, "PAGE", 2)
    ids = [service.submit(xor(name="listed"))["id"] for _ in range(5)]
    assert [job["id"] for job in service.list(name="listed")] == ids[::-1]
    assert [job["id"] for job in service.list(name="listed", limit=3)] == ids[:1:-1]
    assert service.list(name="no such name") == []


def test_lists_can_be_of_one_state(service: Gradserve) -> None:
    job = ended(service, service.submit(xor(name="of one state")))
    assert [found["id"] for found in service.list(state="succeeded", name=job["name"])] == [
        job["id"]
    ]
    assert service.list(state="failed", name=job["name"]) == []


def test_a_job_can_be_paused_resumed_and_cancelled(service: Gradserve) -> None:
    id = service.submit(xor(training={"steps": 100_000_000}))["id"]
    states = []
    for job in service.watch(id):
        if not states or job["state"] != states[-1]:
            states.append(job["state"])
        if job["state"] == "running" and "paused" not in states:
            service.pause(id)
        elif job["state"] == "running":
            service.cancel(id)
        elif job["state"] == "paused":
            service.resume(id)
    assert [state for state in states if state in ("paused", "cancelled")] == [
        "paused",
        "cancelled",
    ]
    with pytest.raises(ClientError, match="is cancelled") as caught:
        service.pause(id)
    assert caught.value.status == 409


def test_a_job_that_has_ended_can_be_deleted(service: Gradserve) -> None:
    id = ended(service, service.submit(xor()))["id"]
    service.delete(id)
    with pytest.raises(ClientError, match="there is no job") as caught:
        service.delete(id)
    assert caught.value.status == 404


def test_a_job_that_diverges_has_failed_with_the_step(service: Gradserve) -> None:
    job = ended(service, service.submit(diverging()))
    assert job["state"] == "failed"
    assert job["error"] is not None
    assert job["error"]["code"] == "diverged"
    assert job["error"]["step"] == len(service.history(job["id"]))


def test_parameters_of_a_job_without_any_are_refused(service: Gradserve) -> None:
    job = service.submit(xor(training={"steps": 100_000_000}))
    with pytest.raises(ClientError, match=job["id"]) as caught:
        service.parameters(job["id"])
    assert caught.value.status == 409


def test_a_diverged_job_has_the_parameters_of_its_newest_checkpoint(service: Gradserve) -> None:
    job = ended(service, service.submit(diverging()))
    assert job["state"] == "failed"
    assert 0 <= service.parameters(job["id"])["step"] <= job["step"]


def test_a_refusal_names_the_place(service: Gradserve) -> None:
    with pytest.raises(ClientError) as caught:
        service.submit(xor(training={"steps": 0}))
    assert caught.value.status == 422
    assert [error.pointer for error in caught.value.errors] == ["/training/steps"]


def test_an_unknown_job_is_one_sentence(service: Gradserve) -> None:
    with pytest.raises(ClientError, match="there is no job 'job_0'") as caught:
        service.get("job_0")
    assert caught.value.status == 404
