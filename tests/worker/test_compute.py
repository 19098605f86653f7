"""Answers that take time: asked for over HTTP, computed by a worker in this process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.spec import JobSpec
from engine.train import Diverged, TrainingState, train
from service.common import stopping
from service.store import artifact_claims, artifacts, parameters, states
from tests.processes import until
from tests.worker.conftest import Bench, make_spec
from worker import compute, run_job
from worker.artifacts.kinds import KINDS
from worker.artifacts.work import CannotCompute, Content, Work

NO_WAIT = {"Prefer": "wait=0"}
STEPS = 40


def momentum_spec(executor: str, **training: Any) -> JobSpec:
    """A small job with mini-batches and momentum, whose checkpoints are far apart."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "moons", "n_samples": 30},
            "model": {"layers": [{"units": 4, "activation": "tanh"}, {"units": 1}]},
            "loss": {"kind": "max_margin"},
            "optimizer": {"learning_rate": 0.1, "momentum": 0.9},
            "training": {
                "steps": STEPS,
                "batch_size": 7,
                "checkpoint_every": 16,
                "validation_fraction": 0.2,
                **training,
            },
            "executor": executor,
        }
    )


def states_of(spec: JobSpec) -> dict[int, TrainingState]:
    """The training's own state at every step."""
    training = spec.training.model_copy(update={"checkpoint_every": 1})
    found = (one.snapshot() for one in train(spec.model_copy(update={"training": training})))
    return {state.step: state for state in found}


class Answers:
    """A client that asks for parameters, and a worker that computes them when it is told to."""

    def __init__(self, client: FlaskClient, bench: Bench) -> None:
        self.client = client
        self.bench = bench

    def get(self, id: str, step: Any = None, **headers: str) -> TestResponse:
        query = {} if step is None else {"step": step}
        return self.client.get(
            f"/v1/jobs/{id}/parameters", query_string=query, headers=headers or NO_WAIT
        )

    def compute(self, draining: Callable[[], bool] = lambda: False, **changes: Any) -> None:
        context = self.bench._context(lambda number: False, **changes)
        compute.compute_next(
            run_job.Context(context.settings, context.sessions, context.worker, draining)
        )

    @contextmanager
    def worker(self, after: float = 0.0) -> Iterator[None]:
        """A worker in a thread, which computes whatever is asked for from now on."""
        over = threading.Event()

        def work() -> None:
            time.sleep(after)
            while not over.is_set():
                self.compute()
                time.sleep(0.005)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def rows(self) -> list[tuple[Any, ...]]:
        return self.bench.rows("SELECT state, attempt, kind, arguments FROM artifacts ORDER BY pk")


@pytest.fixture
def ask(client: FlaskClient, bench: Bench) -> Answers:
    return Answers(client, bench)


def numbers(answer: TestResponse) -> Any:
    """The parameters of an answer in neuron order."""
    assert answer.status_code == 200, answer.text
    layers = [
        parameters.LayerParameters(np.array(layer["weights"]), np.array(layer["biases"]))
        for layer in answer.json["layers"]
    ]
    return parameters.flat(layers)


@pytest.mark.parametrize("executor", ["native", "scalar"])
def test_every_step_has_the_bits_that_training_had_there(ask: Answers, executor: str) -> None:
    spec = momentum_spec(executor)
    id = ask.bench.submit(spec)
    ask.bench.work(id)
    kept = set(ask.bench.checkpoints(id)) | {STEPS}
    known = states_of(spec)
    assert set(known) == set(range(STEPS + 1))
    assert {0, 16, 32} <= kept < set(known)

    with ask.worker():
        for step, state in known.items():
            answer = ask.get(id, step, Prefer="wait=30")
            assert answer.json["step"] == step
            assert numbers(answer).tobytes() == state.parameters.tobytes()
            packed = parameters.pack(spec.sizes(), state.parameters)
            assert answer.json["sha256"] == packed.sha256

    assert len(ask.rows()) == len(known) - len(kept)
    best = ask.bench.job(id).best_step
    assert ask.get(id, "best").json["step"] == best
    assert ask.get(id, "latest").json == ask.get(id).json == ask.get(id, STEPS).json


def test_a_kept_step_that_is_damaged_is_replayed(ask: Answers) -> None:
    spec = momentum_spec("scalar")
    id = ask.bench.submit(spec)
    ask.bench.work(id)
    ask.bench.change("UPDATE checkpoints SET sha256 = 'x' WHERE step >= 16")
    with ask.worker():
        found = numbers(ask.get(id, 16, Prefer="wait=30"))
    assert found.tobytes() == states_of(spec)[16].parameters.tobytes()
    assert len(ask.rows()) == 1


def test_the_best_step_of_a_job_without_its_columns(ask: Answers) -> None:
    """As one that version 0.1 has trained."""
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    best = ask.bench.job(id).best_step
    ask.bench.change("UPDATE jobs SET best_step = NULL")
    with ask.worker():
        assert ask.get(id, "best", Prefer="wait=30").json["step"] == best


def test_an_answer_is_202_until_a_worker_has_computed_it(ask: Answers) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)

    first = ask.get(id, 5)
    again = ask.get(id, 5, Prefer="respond-async, wait=0")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["Retry-After"] == "1"
    assert first.headers["Location"] == f"/v1/jobs/{id}/parameters?step=5"
    assert first.headers["Vary"] == "Prefer"
    assert first.json == {
        "state": "queued",
        "kind": "parameters",
        "arguments": {"step": 5},
        "links": {"self": first.headers["Location"]},
    }
    ask.compute()
    ask.compute()  # a second message finds nothing to do

    answer = ask.client.get(first.headers["Location"], headers=NO_WAIT)
    assert answer.json["step"] == 5
    assert ask.rows() == [("succeeded", 1, "parameters", '{"step":5}')]


@pytest.mark.parametrize(
    ("prefer", "applied", "status"),
    [
        ("wait=20", "wait=20", 200),
        ('foo; bar, WAIT="20", wait=0', "wait=20", 200),
        ("wait=9999", "wait=30", 200),
        ("wait=0", "wait=0", 202),
        ("respond-async", "respond-async", 202),
        ("wait=soon", None, 200),
        ('=,;"', None, 200),
        ("", None, 200),
    ],
)
def test_a_request_waits_as_long_as_it_prefers(
    ask: Answers, prefer: str, applied: str | None, status: int
) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    with ask.worker(after=0.2):
        answer = ask.get(id, 5, Prefer=prefer)
    assert answer.status_code == status
    assert answer.headers.get("Preference-Applied") == applied


def test_no_more_requests_wait_than_may_and_none_while_the_process_stops(
    ask: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    turns = ask.client.application.extensions["gradserve_waiting_requests"]
    while turns.acquire(blocking=False):
        pass
    began = time.monotonic()
    assert ask.get(id, 5, Prefer="wait=20").status_code == 202
    turns.release()
    monkeypatch.setattr(stopping, "_told", True)
    assert ask.get(id, 5, Prefer="wait=20").status_code == 202
    assert time.monotonic() - began < 5
    assert turns.acquire(blocking=False)  # it was given back


def test_a_request_that_waits_holds_no_connection(ask: Answers) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    pool = ask.client.application.extensions["gradserve"].database.engine.pool
    answers: list[TestResponse] = []
    thread = threading.Thread(
        target=lambda: answers.append(
            ask.client.application.test_client().get(
                f"/v1/jobs/{id}/parameters?step=5", headers={"Prefer": "wait=30"}
            )
        )
    )
    thread.start()
    until(lambda: ask.rows(), 10, "it was asked for")
    time.sleep(0.3)  # now it looks every quarter of a second
    held = []
    for _ in range(50):
        held.append(pool.checkedout())
        time.sleep(0.01)
    ask.compute()
    thread.join()
    assert held.count(0) > 35
    assert answers[0].status_code == 200


def test_a_step_beyond_the_job_is_refused_with_its_place_and_the_range(ask: Answers) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    refused = ask.get(id, STEPS + 1)
    assert refused.status_code == 422
    assert refused.json["errors"] == [
        {
            "pointer": "/step",
            "detail": "is 41, but the job has finished 40 updates; from 0 to 40 are allowed",
        }
    ]
    for wrong in (-1, "1.5", "last", "٣", 2**31, "", "+1", " 1"):
        refused = ask.get(id, wrong)
        assert refused.status_code == 422
        (error,) = refused.json["errors"]
        assert error["pointer"] == "/step"
        assert "from 0 to the job's step, or best, or latest" in error["detail"]
    assert ask.rows() == []


def test_a_job_that_was_not_claimed_has_its_first_parameters_only(ask: Answers) -> None:
    spec = momentum_spec("scalar")
    id = ask.bench.submit(spec)
    for step, sentence in {
        None: f"job {id} is queued: it has parameters once it has succeeded; step=latest returns "
        "the newest until then",
        "latest": f"job {id} is queued and has no checkpoint; step=0 returns the parameters that "
        "its training begins with",
        "best": f"job {id} is queued, and none of its logged steps has a loss yet",
    }.items():
        refused = ask.get(id, step)
        assert (refused.status_code, refused.json["detail"]) == (409, sentence)
    assert "only 0 is allowed" in ask.get(id, 1).json["detail"]
    with ask.worker():
        first = numbers(ask.get(id, 0, Prefer="wait=20"))
    assert first.tobytes() == states_of(spec)[0].parameters.tobytes()


def test_the_newest_parameters_of_a_job_that_is_not_done(ask: Answers) -> None:
    spec = make_spec()
    known = states_of(spec)
    id = ask.bench.submit(spec)
    ask.bench.work(id, at_slice=lambda number: number >= 4)
    job = ask.bench.job(id)
    assert (job.state, 0 < job.step < 600) == ("queued", True)
    assert ask.get(id).status_code == 409
    latest = ask.get(id, "latest")
    assert latest.json["step"] == job.step
    assert numbers(latest).tobytes() == known[job.step].parameters.tobytes()

    assert ask.client.post(f"/v1/jobs/{id}/pause").status_code == 200
    assert ask.get(id).json == latest.json
    assert ask.client.post(f"/v1/jobs/{id}/cancel").status_code == 200
    assert ask.get(id).json == latest.json
    assert ask.client.get(f"/v1/jobs/{id}").json["links"]["parameters"]
    assert ask.bench.checkpoints(id) == [job.step]  # the others are gone
    with ask.worker():
        between = numbers(ask.get(id, job.step - 5, Prefer="wait=20"))
    assert between.tobytes() == known[job.step - 5].parameters.tobytes()


def test_the_parameters_of_a_job_that_ran_out_of_time(ask: Answers) -> None:
    spec = make_spec(steps=100_000, deadline_seconds=0.2)
    id = ask.bench.submit(spec)
    ask.bench.work(id)
    job = ask.bench.job(id)
    assert job.error_code == "deadline_exceeded"
    found = ask.get(id)
    assert found.json["step"] == job.step > 0
    assert found.json == ask.get(id, "latest").json == ask.get(id, job.step).json


def test_the_parameters_of_a_job_that_diverged(ask: Answers) -> None:
    fields = momentum_spec("native", checkpoint_every=4).model_dump() | {
        "model": {"layers": [{"units": 2}, {"units": 1}]},
        "loss": {"kind": "mse"},
        "optimizer": {"learning_rate": 1e3},
    }
    spec = JobSpec.model_validate(fields)
    id = ask.bench.submit(spec)
    ask.bench.work(id)
    job = ask.bench.job(id)
    assert job.error_code == "diverged"
    found = ask.get(id)
    assert found.json["step"] == ask.bench.checkpoints(id)[-1] <= job.step
    assert np.isfinite(numbers(found)).all()
    with ask.worker():
        before = numbers(ask.get(id, job.step - 1, Prefer="wait=20"))
        last = ask.get(id, job.step, Prefer="wait=20")
    assert np.isfinite(before).all()
    assert np.isfinite(numbers(last)).all()  # only its loss is not


def failing(error: Exception) -> Callable[[Work], Content]:
    def compute(work: Work) -> Content:
        raise error

    return compute


@pytest.mark.parametrize(
    ("error", "status", "kind", "detail"),
    [
        (CannotCompute("a row has no class"), 409, "not-computed", "a row has no class"),
        (Diverged(5), 409, "diverged", f"{Diverged(5)}; ask for an earlier step"),
        (MemoryError(), 409, "out-of-memory", compute.OUT_OF_MEMORY),
        (ZeroDivisionError(), 500, "internal", compute.INTERNAL_ERROR),
    ],
)
def test_a_failure_is_the_answer_and_is_not_tried_again(
    ask: Answers,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    kind: str,
    detail: str,
) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    monkeypatch.setitem(KINDS, "parameters", failing(error))  # type: ignore[arg-type]
    assert ask.get(id, 5).status_code == 202
    ask.compute()
    for _ in range(2):
        answer = ask.get(id, 5)
        assert answer.status_code == status
        assert answer.mimetype == "application/problem+json"
        assert answer.json == {
            "type": f"urn:gradserve:problem:{kind}",
            "title": "The answer cannot be computed",
            "status": status,
            "detail": detail,
        }
        ask.compute()
    assert ask.rows() == [("failed", 1, "parameters", '{"step":5}')]


def test_an_unknown_kind_is_told_and_not_tried_again(ask: Answers, bench: Bench) -> None:
    id = bench.submit(momentum_spec("scalar"))
    with bench.sessions.begin() as session:
        artifacts.ask(session, id, "horoscope", {})
    ask.compute()
    (problem,) = bench.rows("SELECT problem FROM artifacts")[0]
    assert "no answers of the kind 'horoscope'" in json.loads(problem)["detail"]


def test_a_computation_ends_when_its_time_is_up(ask: Answers) -> None:
    id = ask.bench.submit(make_spec(steps=1_000_000, checkpoint_every=1_000_000))
    ask.bench.work(id, at_slice=lambda number: number >= 30)
    step = ask.bench.job(id).step - 1
    ask.bench.change("DELETE FROM checkpoints")
    ask.get(id, step)
    ask.compute(max_artifact_seconds=0.1)
    answer = ask.get(id, step)
    assert answer.status_code == 409
    assert "takes longer than 0.1 s" in answer.json["detail"]


def test_a_worker_that_stops_gives_the_artifact_back(ask: Answers) -> None:
    id = ask.bench.submit(make_spec(steps=1_000_000, checkpoint_every=1_000_000))
    ask.bench.work(id, at_slice=lambda number: number >= 30)
    step = ask.bench.job(id).step - 1
    ask.bench.change("DELETE FROM checkpoints")
    ask.get(id, step)
    calls = iter(range(1000))
    ask.compute(draining=lambda: next(calls) >= 2)
    assert ask.rows() == [("queued", 0, "parameters", f'{{"step":{step}}}')]
    assert ask.bench.rows("SELECT published_at FROM artifacts") == [(None,)]
    ask.compute()
    assert ask.get(id, step).status_code == 200


def test_a_worker_that_was_thought_dead_changes_nothing(
    ask: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    slow = KINDS["parameters"]

    def overtaken(work: Work) -> Content:
        monkeypatch.setitem(KINDS, "parameters", slow)  # type: ignore[arg-type]
        ask.bench.change("UPDATE artifacts SET lease_until = 1")
        with ask.bench.sessions.begin() as session:
            assert len(artifacts.free_lost_leases(session, lease_seconds=5)) == 1
        ask.compute()
        return Content(b"wrong", "text/plain")

    monkeypatch.setitem(KINDS, "parameters", overtaken)  # type: ignore[arg-type]
    ask.get(id, 5)
    ask.compute()
    assert ask.get(id, 5).json["step"] == 5
    assert [row[:2] for row in ask.rows()] == [("succeeded", 2)]


def test_a_question_that_kills_its_workers_fails(ask: Answers, bench: Bench) -> None:
    id = bench.submit(momentum_spec("scalar"))
    bench.work(id)
    ask.get(id, 5)
    for _ in range(states.FRUITLESS_CLAIMS):
        with bench.sessions.begin() as session:
            assert artifact_claims.claim_next(session, lease_seconds=5) is not None
        bench.change("UPDATE artifacts SET lease_until = 1")
        with bench.sessions.begin() as session:
            artifacts.free_lost_leases(session, lease_seconds=5)
    answer = ask.get(id, 5)
    assert (answer.status_code, answer.json["type"]) == (500, "urn:gradserve:problem:worker-lost")


def test_a_dropped_answer_is_computed_again(ask: Answers) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    with ask.worker():
        first = ask.get(id, 5, Prefer="wait=20").json
        ask.bench.change("DELETE FROM artifacts")
        assert ask.get(id, 5, Prefer="wait=20").json == first


def test_a_deleted_job_takes_its_artifacts_along(ask: Answers) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    ask.bench.work(id)
    ask.get(id, 5)
    ask.get(id, 6)
    ask.compute()
    assert len(ask.rows()) == 2
    assert ask.client.delete(f"/v1/jobs/{id}").status_code == 204
    assert ask.rows() == []
    assert ask.get(id, 5).status_code == 404
