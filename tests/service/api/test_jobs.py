"""Jobs over HTTP: submit, show, list, cancel, pause and resume."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from kombu import Connection
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.api.app import create_app
from service.common.messages import QUEUE
from service.common.settings import Settings
from service.store import claims, controls, parameters
from service.store.claims import Claim
from tests.service.lifecycle import advance, finish

Sessions = sessionmaker[Session]
Spec = dict[str, Any]

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def messages(broker: str) -> list[Any]:
    """The messages that wait for the workers, oldest first."""
    with Connection(broker) as connection:
        client = connection.default_channel.client
        found = [json.loads(text) for text in client.lrange(QUEUE, 0, -1)]
    return found[::-1]


def test_a_job_is_stored_whole_and_its_id_is_all_that_the_workers_get(
    client: FlaskClient, broker: str, moons: Spec
) -> None:
    answer = client.post("/v1/jobs", json=moons)
    assert answer.status_code == 201
    job = answer.json
    assert re.fullmatch(r"job_[0-9a-f]{24}", job["id"])
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["terminal"], job["name"]) == ("queued", False, "moons")
    assert (job["step"], job["steps"], job["progress"], job["attempt"]) == (0, 10, 0.0, 0)
    assert RFC3339.fullmatch(job["created_at"])
    for empty in ("loss", "accuracy", "eta_seconds", "error", "started_at", "finished_at"):
        assert job[empty] is None
    assert job["spec"] == JobSpec.model_validate(moons).model_dump(mode="json")
    (message,) = messages(broker)
    assert message["headers"]["task"] == "gradserve.train_job"
    assert message["properties"]["body_encoding"] == "base64"
    assert job.pop("warnings") == []
    assert (job["best"], job["final"], job["environment"]) == (None, None, [])
    assert client.get(job["links"]["self"]).json == job


def test_a_finished_job_shows_what_it_came_to(
    client: FlaskClient, sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    held = claim()
    advance(sessions, held, 0, 4)
    answer = client.get(f"/v1/jobs/{held.id}")
    job = answer.json
    assert (job["state"], job["step"], job["progress"]) == ("running", 4, 0.4)
    assert (job["loss"], job["accuracy"], job["attempt"]) == (0.25, 0.5, 1)
    assert job["eta_seconds"] == pytest.approx(0.5 / 4 * 6, abs=0.06)
    assert answer.headers["Retry-After"] == "1"
    with sessions.begin() as session:
        claims.release(session, held)
    finish(sessions, claim(held.id), spec)
    answer = client.get(f"/v1/jobs/{held.id}")
    job = answer.json
    assert (job["state"], job["terminal"], job["progress"]) == ("succeeded", True, 1.0)
    assert job["eta_seconds"] is None
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert "Retry-After" not in answer.headers


def test_a_failed_job_says_why(
    client: FlaskClient, sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    with sessions.begin() as session:
        claims.fail(session, held, code="diverged", detail="the loss is nan", step=3)
    assert client.get(f"/v1/jobs/{held.id}").json["error"] == {
        "code": "diverged",
        "detail": "the loss is nan",
        "step": 3,
    }


def test_jobs_are_listed_newest_first_page_by_page(client: FlaskClient, moons: Spec) -> None:
    ids = [client.post("/v1/jobs", json=moons).json["id"] for _ in range(3)]
    first = client.get("/v1/jobs?limit=2").json
    assert [item["id"] for item in first["items"]] == ids[:0:-1]
    second = client.get("/v1/jobs", query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [item["id"] for item in second["items"]] == ids[:1]
    assert second["next_cursor"] is None
    assert "spec" not in first["items"][0]


def test_the_list_is_filtered_by_state_and_name(client: FlaskClient, moons: Spec) -> None:
    client.post("/v1/jobs", json=moons)
    other = client.post("/v1/jobs", json=moons | {"name": "ünïcode & co"}).json["id"]
    client.post(f"/v1/jobs/{other}/pause")

    def ids(**query: str) -> list[str]:
        return [item["id"] for item in client.get("/v1/jobs", query_string=query).json["items"]]

    assert ids(state="paused") == ids(name="ünïcode & co") == [other]
    assert ids(state="queued", name="ünïcode & co") == []
    assert len(ids()) == 2


def test_a_job_is_found_by_the_beginning_of_its_id(client: FlaskClient, moons: Spec) -> None:
    ids = [client.post("/v1/jobs", json=moons).json["id"] for _ in range(3)]
    for id in ids:
        (found,) = client.get(f"/v1/jobs?id_prefix={id[:20]}").json["items"]
        assert found["id"] == id
    assert len(client.get("/v1/jobs?id_prefix=job_").json["items"]) == 3
    for wrong in ("", "job", "job_%", "job_G", "jobs_1"):
        answer = client.get("/v1/jobs", query_string={"id_prefix": wrong})
        assert answer.json["errors"][0]["pointer"] == "/id_prefix"


def test_a_queued_job_obeys_at_once(client: FlaskClient, broker: str, moons: Spec) -> None:
    here = client.post("/v1/jobs", json=moons).headers["Location"]
    assert client.post(f"{here}/pause").json["state"] == "paused"
    assert client.post(f"{here}/pause").status_code == 200
    assert len(messages(broker)) == 1
    for _ in range(3):
        assert client.post(f"{here}/resume").json["state"] == "queued"
    assert len(messages(broker)) == 2
    answer = client.post(f"{here}/cancel")
    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
    assert client.post(f"{here}/cancel").status_code == 200
    refused = client.post(f"{here}/resume")
    assert (refused.status_code, refused.mimetype) == (409, "application/problem+json")
    assert "is cancelled" in refused.json["detail"]


def test_a_running_job_is_shown_in_its_requested_state(
    client: FlaskClient, claim: Callable[..., Claim]
) -> None:
    here = f"/v1/jobs/{claim().id}"
    assert client.post(f"{here}/pause").json["state"] == "pausing"
    assert client.post(f"{here}/resume").json["state"] == "running"
    assert client.post(f"{here}/cancel").json["state"] == "cancelling"
    assert client.get(here).json["state"] == "cancelling"


def test_a_job_is_deleted_once_it_has_ended(client: FlaskClient, moons: Spec) -> None:
    here = client.post("/v1/jobs", json=moons).headers["Location"]
    refused = client.delete(here)
    assert (refused.status_code, refused.mimetype) == (409, "application/problem+json")
    assert "is queued, it cannot be deleted before it has ended" in refused.json["detail"]
    client.post(f"{here}/cancel")
    answer = client.delete(here)
    assert (answer.status_code, answer.data) == (204, b"")
    for gone in (client.get(here), client.delete(here), client.get(f"{here}/history")):
        assert (gone.status_code, gone.mimetype) == (404, "application/problem+json")


def test_a_key_is_free_again_when_its_job_is_deleted(client: FlaskClient, moons: Spec) -> None:
    headers = {"Idempotency-Key": "once"}
    here = client.post("/v1/jobs", json=moons, headers=headers).headers["Location"]
    client.post(f"{here}/cancel")
    client.delete(here)
    answer = client.post("/v1/jobs", json=moons, headers=headers)
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, None)


WORKER = "worker-60c5590f"
"""How the API calls the worker w1."""


def test_events_tell_the_whole_story(
    client: FlaskClient, sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    with sessions.begin() as session:
        controls.request_cancel(session, held.id, "api")
        claims.release(session, held)
    items = client.get(f"/v1/jobs/{held.id}/events").json["items"]
    assert [(e["kind"], e["from_state"], e["to_state"], e["actor"]) for e in items] == [
        ("created", None, "queued", "api"),
        ("claimed", "queued", "running", WORKER),
        ("cancel_requested", "running", "running", "api"),
        ("cancelled", "running", "cancelled", WORKER),
    ]
    assert all(RFC3339.fullmatch(event["at"]) for event in items)
    later = client.get(f"/v1/jobs/{held.id}/events?after={items[1]['id']}").json["items"]
    assert later == items[2:]


def test_history_is_paged(
    client: FlaskClient, sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    here = f"/v1/jobs/{held.id}/history"
    assert client.get(here).json == {"items": [], "next_after_step": None}
    advance(sessions, held, 0, 10)
    whole = client.get(here).json
    assert [item["step"] for item in whole["items"]] == list(range(10))
    assert whole["next_after_step"] is None
    assert whole["items"][1] == {
        "step": 1,
        "loss": 0.5,
        "accuracy": 0.5,
        "validation_loss": None,
        "validation_accuracy": None,
        "learning_rate": 0.1,
        "gradient_norm": 2.0,
        "elapsed_seconds": pytest.approx(0.1),
    }
    page = client.get(f"{here}?limit=4").json
    assert page == {"items": whole["items"][:4], "next_after_step": 3}
    rest = client.get(f"{here}?after_step=3&limit=6").json
    assert rest == {"items": whole["items"][4:], "next_after_step": None}
    thin = client.get(f"{here}?max_points=3").json
    assert [item["step"] for item in thin["items"]][::2] == [0, 9]


def test_parameters_are_returned_with_the_same_bits(
    client: FlaskClient, sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    held = claim()
    refused = client.get(f"/v1/jobs/{held.id}/parameters")
    assert (refused.status_code, refused.mimetype) == (409, "application/problem+json")
    finish(sessions, held, spec)
    found = client.get(f"/v1/jobs/{held.id}/parameters").json
    assert found["step"] == 10
    assert [layer["activation"] for layer in found["layers"]] == ["relu", "linear"]
    flat = [
        number
        for layer in found["layers"]
        for weights, bias in zip(layer["weights"], layer["biases"], strict=True)
        for number in (*weights, bias)
    ]
    assert flat == np.linspace(-1, 1, spec.parameters()).tolist()
    assert hashlib.sha256(struct.pack(f"<{len(flat)}d", *flat)).hexdigest() == found["sha256"]


def test_a_job_may_repeat_another(client: FlaskClient, moons: Spec) -> None:
    parent = client.post("/v1/jobs", json=moons).json
    child = client.post("/v1/jobs", json=moons | {"parent_id": parent["id"]}).json
    assert child["parent_id"] == parent["id"]
    assert child["links"]["parent"] == parent["links"]["self"]
    assert "parent_id" not in child["spec"]


@pytest.mark.parametrize("query", ["", "?validate_only=true"])
def test_an_unknown_parent_is_refused_also_where_nothing_is_stored(
    client: FlaskClient, moons: Spec, query: str
) -> None:
    parent = client.post("/v1/jobs", json=moons).json["id"]
    assert client.post(f"/v1/jobs{query}", json=moons | {"parent_id": parent}).status_code < 300
    refused = client.post(f"/v1/jobs{query}", json=moons | {"parent_id": "job_" + "0" * 24})
    assert (refused.status_code, refused.mimetype) == (422, "application/problem+json")
    assert [error["pointer"] for error in refused.json["errors"]] == ["/parent_id"]


def test_a_key_makes_one_job(client: FlaskClient, broker: str, moons: Spec) -> None:
    key = {"Idempotency-Key": "today's first"}
    first = client.post("/v1/jobs", json=moons, headers=key)
    again = client.post(
        "/v1/jobs", json=moons | {"executor": first.json["spec"]["executor"]}, headers=key
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json["id"] == first.json["id"]
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(messages(broker)) == 1
    other = client.post("/v1/jobs", json=moons | {"name": "other"}, headers=key)
    assert (other.status_code, other.mimetype) == (422, "application/problem+json")
    assert len(client.get("/v1/jobs").json["items"]) == 1


def test_parallel_posts_with_one_key_make_one_job(settings: Settings, moons: Spec) -> None:
    app = create_app(settings)
    ids: list[str] = []
    barrier = threading.Barrier(8)

    def post() -> None:
        barrier.wait()
        answer = app.test_client().post("/v1/jobs", json=moons, headers={"Idempotency-Key": "once"})
        ids.append(answer.json["id"] if answer.status_code == 201 else str(answer.json))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert len(app.test_client().get("/v1/jobs").json["items"]) == 1  # type: ignore[index]


def test_a_refused_job_uses_up_no_key(client: FlaskClient, moons: Spec) -> None:
    key = {"Idempotency-Key": "k"}
    assert client.post("/v1/jobs", json=moons | {"name": 1}, headers=key).status_code == 422
    assert client.post("/v1/jobs", json=moons, headers=key).status_code == 201


def test_a_job_can_be_checked_without_being_stored(
    client: FlaskClient, broker: str, moons: Spec
) -> None:
    answer = client.post("/v1/jobs?validate_only=true", json=moons)
    spec = JobSpec.model_validate(moons)
    assert answer.status_code == 200
    assert answer.json == {
        "spec": spec.model_dump(mode="json"),
        "parameters": spec.parameters(),
        "work": spec.work(),
        "memory": spec.memory().total,
        "dataset": None,
        "warnings": [],
    }
    wrong = moons | {"training": {"steps": -1}}
    assert client.post("/v1/jobs?validate_only=true", json=wrong).status_code == 422
    assert client.get("/v1/jobs").json["items"] == []
    assert messages(broker) == []


@pytest.mark.parametrize("query", ["validate_only=perhaps", "dry_run=true"])
def test_a_parameter_that_posting_does_not_know_stores_nothing(
    client: FlaskClient, moons: Spec, query: str
) -> None:
    assert client.post(f"/v1/jobs?{query}", json=moons).status_code == 422
    assert client.get("/v1/jobs").json["items"] == []


def test_a_job_shows_its_best_step_what_it_delivers_and_what_made_it(
    client: FlaskClient, sessions: Sessions, claim: Callable[..., Claim], spec: JobSpec
) -> None:
    environment = {"engine": "0.1", "numpy": "2", "numba": "0.68", "processor": "x86_64 AVX2"}
    held = claim(environment=environment)
    best = claims.StepScores(3, 0.25, 0.75, None, None)
    advance(sessions, held, 0, 10, best=best)
    running = client.get(f"/v1/jobs/{held.id}").json
    assert running["best"] == best._asdict()
    assert running["final"] is None
    assert running["environment"] == [{"from_step": 0, **environment}]
    final = claims.StepScores(3, 0.25, 0.75, 0.5, 1.0)
    packed = parameters.pack(spec.sizes(), np.zeros(spec.parameters()))
    with sessions.begin() as session:
        claims.succeed(session, held, step=10, packed=packed, final=final)
    job = client.get(f"/v1/jobs/{held.id}").json
    assert (job["best"], job["final"]) == (best._asdict(), final._asdict())
    (listed,) = client.get("/v1/jobs").json["items"]
    assert (listed["best"], listed["final"]) == (job["best"], job["final"])
    assert client.get(f"/v1/jobs/{held.id}/parameters").json["step"] == 3


def test_likely_mistakes_come_with_the_answer(client: FlaskClient, moons: Spec) -> None:
    moons["model"]["layers"][-1]["activation"] = "sigmoid"
    place = f"/model/layers/{len(moons['model']['layers']) - 1}/activation"
    for address in ("/v1/jobs", "/v1/jobs?validate_only=true"):
        answer = client.post(address, json=moons)
        (warning,) = answer.json["warnings"]
        assert warning["pointer"] == place
        assert "reads logits" in warning["detail"]
