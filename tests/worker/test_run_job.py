"""One job in one worker: the rows that it writes, and how it survives disturbances."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from engine.environment import environment
from engine.spec import JobSpec
from engine.train import state_at, train
from service.store import checkpoint_format, controls, parameters
from service.store.connections import make_engine
from service.store.tables import Job
from tests.worker.conftest import Bench, Undisturbed, make_spec
from worker import run_job


def assert_as_undisturbed(bench: Bench, id: str, undisturbed: Undisturbed) -> None:
    assert bench.job(id).state == "succeeded"
    assert bench.history(id) == undisturbed.history
    assert bench.sha256(id) == undisturbed.sha256


def drain_at(slice: int) -> Any:
    return lambda number: number >= slice


def test_a_job_succeeds_with_its_history_and_parameters(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed
) -> None:
    id = bench.submit(spec)

    bench.work(id)

    assert_as_undisturbed(bench, id, undisturbed)
    job = bench.job(id)
    assert (job.step, job.attempt, job.lease_until) == (600, 1, None)
    assert job.loss == undisturbed.history[-1].loss
    assert job.finished_at >= job.started_at >= job.created_at
    assert 0 < job.trained_seconds < 60


def test_step_and_loss_move_while_it_runs(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)
    seen: list[tuple[str, int, float | None, int]] = []

    def look(number: int) -> bool:
        job = bench.job(id)
        seen.append((job.state, job.step, job.loss, len(bench.history(id))))
        return False

    bench.work(id, look)

    running = [(step, loss, rows) for state, step, loss, rows in seen if state == "running"]
    moved = [(step, loss, rows) for step, loss, rows in running if step > 0]
    assert len({step for step, _, _ in moved}) > 2
    assert len({loss for _, loss, _ in moved}) > 2
    assert all(rows == step for step, _, rows in running)


def test_checkpoints_for_looking_back_stay_and_others_go(bench: Bench) -> None:
    id = bench.submit(make_spec(checkpoint_every=250))

    bench.work(id)

    steps = bench.checkpoints(id)
    assert {0, 250, 500} <= set(steps)
    assert len(set(steps) - {0, 250, 500}) <= 2


def test_a_second_message_does_nothing(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)
    seen_by_second: list[int] = []

    def ring_again(number: int) -> bool:
        if number == 2:
            bench.work(id)
            seen_by_second.append(bench.job(id).attempt)
        return False

    bench.work(id, ring_again)
    bench.work(id)

    assert seen_by_second == [1]
    assert bench.job(id).attempt == 1


def test_an_unknown_job_is_not_an_error(bench: Bench) -> None:
    bench.work("job_000000000000000000000000")


@pytest.mark.parametrize("slice", [2, 4])  # the first slice is step 0
def test_a_drained_job_resumes_with_the_same_bits(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed, slice: int
) -> None:
    id = bench.submit(spec)

    bench.work(id, drain_at(slice))

    job = bench.job(id)
    assert (job.state, job.attempt, job.published_at) == ("queued", 0, None)
    assert 0 < job.step < 600
    assert bench.checkpoints(id)[-1] == job.step
    bench.work(id)
    assert_as_undisturbed(bench, id, undisturbed)
    assert bench.job(id).attempt == 1


def test_a_draining_worker_claims_nothing(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)

    bench.work(id, drain_at(0))

    assert (bench.job(id).state, bench.job(id).fence) == ("queued", 0)


def test_momentum_and_batches_resume_with_the_same_bits(bench: Bench) -> None:
    spec = make_spec(batch_size=3, seed=5)
    spec = spec.model_copy(
        update={"optimizer": spec.optimizer.model_copy(update={"momentum": 0.9})}
    )
    id = bench.submit(spec)

    for _ in range(3):
        bench.work(id, drain_at(2))
    bench.work(id)

    assert_as_undisturbed(bench, id, Undisturbed(spec))


def test_a_cancelled_job_writes_a_last_checkpoint(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)

    def cancel(number: int) -> bool:
        if number == 2:
            with bench.sessions.begin() as session:
                controls.request_cancel(session, id)
        return False

    bench.work(id, cancel)

    job = bench.job(id)
    assert job.state == "cancelled"
    assert 0 < job.step < 600
    assert bench.checkpoints(id)[-1] == job.step
    assert [row[0] for row in bench.history(id)] == list(range(job.step))


def test_a_cancel_before_the_last_commit_wins(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)

    def cancel(number: int) -> bool:
        if number == 1:
            with bench.sessions.begin() as session:
                controls.request_cancel(session, id)
        return False

    bench.work(id, cancel, progress_seconds=4.0)

    assert bench.job(id).state == "cancelled"
    assert bench.rows("SELECT * FROM results") == []


def test_a_paused_job_resumes_with_the_same_bits(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed
) -> None:
    id = bench.submit(spec)

    def pause(number: int) -> bool:
        if number == 2:
            with bench.sessions.begin() as session:
                controls.request_pause(session, id)
        return False

    bench.work(id, pause)
    assert bench.job(id).state == "paused"
    bench.work(id)
    assert bench.job(id).state == "paused"
    with bench.sessions.begin() as session:
        controls.request_resume(session, id)
    bench.work(id)

    assert_as_undisturbed(bench, id, undisturbed)


def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed
) -> None:
    id = bench.submit(spec)
    left: list[Any] = []

    def take_away(number: int) -> bool:
        if number == 3:
            bench.change(
                "UPDATE jobs SET state = 'queued', lease_until = NULL WHERE id = :id", id=id
            )
            left.extend(bench.history(id))
        return False

    bench.work(id, take_away)

    assert bench.job(id).state == "queued"
    assert bench.history(id) == left
    assert 0 < len(left) < 600
    bench.work(id)
    assert_as_undisturbed(bench, id, undisturbed)


def test_a_slow_step_renews_the_lease(bench: Bench) -> None:
    spec = make_spec(steps=2)
    spec = JobSpec.model_validate(
        spec.model_dump()
        | {
            "dataset": {"kind": "moons", "n_samples": 12_000},
            "model": {"layers": [{"units": 8, "activation": "tanh"}, {"units": 1}]},
        }
    )
    id = bench.submit(spec)
    leases: set[float | None] = set()

    def look(number: int) -> bool:
        job = bench.job(id)
        if job.step == 0 and job.state == "running":
            leases.add(job.lease_until)
        return False

    bench.work(id, look)

    assert len(leases) > 3
    assert bench.job(id).state == "succeeded"


def diverging() -> JobSpec:
    spec = make_spec().model_dump(exclude={"optimizer"})
    return JobSpec.model_validate(spec | {"optimizer": {"learning_rate": 1e6}})


def test_divergence_fails_the_job_and_keeps_the_history_before(bench: Bench) -> None:
    id = bench.submit(diverging())

    bench.work(id)

    job = bench.job(id)
    assert (job.state, job.error_code) == ("failed", "diverged")
    assert str(job.error_step) in job.error_detail
    history = bench.history(id)
    assert history
    assert [row[0] for row in history] == list(range(len(history)))
    assert len(history) - 1 <= job.error_step <= len(history)
    assert all(np.isfinite(row[1]) for row in history)


def test_a_checkpoint_of_another_network_fails_the_job(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)
    bench.work(id, drain_at(2))
    other = JobSpec.model_validate(spec.model_dump() | {"model": {"layers": [{"units": 1}]}})
    bench.change("UPDATE jobs SET spec = :spec", spec=other.model_dump_json())

    bench.work(id)

    job = bench.job(id)
    assert (job.state, job.error_code) == ("failed", "invalid_data")
    assert "17 parameters" in job.error_detail


def test_a_deadline_counts_training_over_all_attempts(bench: Bench) -> None:
    id = bench.submit(make_spec(steps=1_000_000, checkpoint_every=12, deadline_seconds=0.4))

    bench.work(id, drain_at(5))
    before = bench.job(id)
    bench.work(id)

    job = bench.job(id)
    assert (before.state, before.attempt) == ("queued", 0)
    assert 0 < before.trained_seconds < 0.4
    assert (job.state, job.error_code) == ("failed", "deadline_exceeded")
    assert "0.4 s" in job.error_detail
    assert job.error_step == job.step
    assert 0.4 <= job.trained_seconds < 1.4
    assert bench.history(id)[-1][0] < job.step
    assert bench.checkpoints(id)[-1] == job.step


def test_an_unexpected_error_is_in_the_log_and_not_in_the_job(
    bench: Bench, spec: JobSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(run_job, "train", broken)
    id = bench.submit(spec)

    with caplog.at_level(logging.ERROR):
        bench.work(id)

    job = bench.job(id)
    assert (job.state, job.error_code) == ("failed", "internal")
    assert "secret" not in job.error_detail
    assert "secret of the house" in caplog.text


@pytest.mark.parametrize("damaged", ["newest", "all"])
def test_a_damaged_checkpoint_is_computed_again_without_writing(
    bench: Bench,
    spec: JobSpec,
    undisturbed: Undisturbed,
    damaged: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    id = bench.submit(spec)
    bench.work(id, drain_at(4))
    steps = bench.checkpoints(id)
    assert len(steps) >= 2
    first_bad = steps[-1] if damaged == "newest" else 0
    bench.change(
        "UPDATE checkpoints SET data = :junk WHERE step >= :step", junk=b"\0" * 8, step=first_bad
    )
    written = bench.job(id).step
    seen: list[int] = []

    def look(number: int) -> bool:
        seen.append(bench.job(id).step)
        return False

    bench.work(id, look)

    assert min(seen) == written
    assert "checkpoint is damaged" in caplog.text
    assert_as_undisturbed(bench, id, undisturbed)


def test_a_lost_answer_to_a_commit_loses_nothing(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed
) -> None:
    id = bench.submit(spec)
    lost: list[int] = []

    def lose_the_answer(connection: object) -> None:
        # Raised after the COMMIT has taken place, as from a connection that breaks.
        if armed:
            armed.clear()
            lost.append(1)
            raise OperationalError("COMMIT", {}, Exception("the connection is closed"))

    armed: list[int] = []
    event.listen(bench.sessions, "after_commit", lose_the_answer)

    def arm(number: int) -> bool:
        if number in (2, 4):
            armed.append(number)
        return False

    bench.work(id, arm)

    assert len(lost) == 2
    assert_as_undisturbed(bench, id, undisturbed)
    assert bench.job(id).attempt == 1


@pytest.mark.parametrize("end", ["succeeded", "failed", "paused", "cancelled"])
def test_a_lost_answer_to_the_last_commit_loses_no_job(
    bench: Bench, spec: JobSpec, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    id = bench.submit(diverging() if end == "failed" else spec)
    looking: list[int] = []
    lost: list[str] = []

    def lose_the_answer(_: object) -> None:
        if looking or lost:
            return
        looking.append(1)
        state = bench.job(id).state
        looking.clear()
        if state == end:
            lost.append(state)
            raise OperationalError("COMMIT", {}, Exception("the connection is closed"))

    def request(number: int) -> bool:
        if number == 3 and end in ("paused", "cancelled"):
            ask = controls.request_pause if end == "paused" else controls.request_cancel
            with bench.sessions.begin() as session:
                ask(session, id)
        return False

    event.listen(bench.sessions, "after_commit", lose_the_answer)

    bench.work(id, request)

    assert lost == [bench.job(id).state] == [end]
    assert f"job {end}" in caplog.text
    assert "lost to another worker" not in caplog.text
    assert bench.rows("SELECT count(*) FROM events WHERE to_state = :end", end=end) == [(1,)]


def test_a_database_that_stays_away_ends_the_attempt_not_the_worker(
    bench: Bench, spec: JobSpec, caplog: pytest.LogCaptureFixture
) -> None:
    id = bench.submit(spec)

    def refuse(session: object, transaction: object, connection: object) -> None:
        raise OperationalError("BEGIN", {}, Exception("the server is gone"))

    def go_away(number: int) -> bool:
        if number == 2:
            event.listen(bench.sessions, "after_begin", refuse)
        return False

    bench.work(id, go_away, lease_seconds=0.5)

    event.remove(bench.sessions, "after_begin", refuse)
    assert bench.job(id).state == "running"
    assert "job given up" in caplog.text


@pytest.mark.parametrize(
    ("bytes", "seconds"), [(10, 0.5), (1_000_000, 0.5), (4_000_000, 2.0), (50_000_000, 5.0)]
)
def test_large_checkpoints_are_written_less_often(bytes: int, seconds: float) -> None:
    assert run_job.stretched(0.5, bytes) == seconds


def test_a_database_that_is_unavailable_for_a_moment_costs_only_time(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed
) -> None:
    """Postgres closes every connection, as in a restart; SQLite is locked by another writer."""
    id = bench.submit(spec)
    disturbed: list[int] = []

    def disturb(number: int) -> bool:
        if number in (2, 20):
            disturbed.append(number)
            if bench.settings.sqlite:
                lock_for_a_moment(bench)
            else:
                close_connections(bench)
        return False

    bench.work(id, disturb)

    assert disturbed == [2, 20]
    assert_as_undisturbed(bench, id, undisturbed)
    assert bench.job(id).attempt == 1


def close_connections(bench: Bench) -> None:
    engine = make_engine(bench.settings, "recovery")
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


def lock_for_a_moment(bench: Bench) -> None:
    file = make_url(bench.settings.database_url).database
    assert file is not None
    held = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            held.set()
            time.sleep(0.3)

    threading.Thread(target=hold).start()
    held.wait()


def stopping_early(patience: int = 40) -> JobSpec:
    """A training whose validation loss has its minimum long before the end."""
    return make_spec(
        600, validation_fraction=0.25, early_stopping={"patience": patience}, checkpoint_every=12
    )


def best_of(rows: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The first row with the lowest validation loss, or the lowest loss without validation."""
    return min(rows, key=lambda row: row[1] if row[3] is None else row[3])


def figures(job: Job, which: str) -> tuple[Any, ...]:
    names = ("step", "loss", "accuracy", "validation_loss", "validation_accuracy")
    return tuple(getattr(job, f"{which}_{name}") for name in names)


def test_a_job_knows_its_best_step_and_the_figures_of_what_it_delivers(
    bench: Bench, spec: JobSpec
) -> None:
    id = bench.submit(spec)
    bench.work(id)
    job = bench.job(id)
    assert figures(job, "best") == best_of(bench.history(id))[:5]
    # The delivered parameters are those after the last update; the last row precedes it.
    assert figures(job, "final")[0] == 600
    final = state_at(spec, 600)
    assert figures(job, "final")[1:] == next(iter(train(spec))).evaluate(final.parameters)
    assert job.final_loss < job.loss


def test_the_best_step_is_kept_over_a_drain(bench: Bench, spec: JobSpec) -> None:
    disturbed, straight = bench.submit(spec), bench.submit(spec)
    bench.work(disturbed, drain_at(4))
    at_rest = bench.job(disturbed)
    assert figures(at_rest, "best") == best_of(bench.history(disturbed))[:5]
    assert figures(at_rest, "final") == (None,) * 5
    bench.work(disturbed)
    bench.work(straight)
    assert figures(bench.job(disturbed), "best") == figures(bench.job(straight), "best")
    assert figures(bench.job(disturbed), "final") == figures(bench.job(straight), "final")


def test_early_stopping_delivers_the_parameters_of_the_best_step(bench: Bench) -> None:
    spec = stopping_early()
    id = bench.submit(spec)
    bench.work(id)
    job = bench.job(id)
    assert 0 < job.best_step < job.step
    expected = state_at(spec, job.best_step).parameters
    assert bench.sha256(id) == parameters.pack(spec.sizes(), expected).sha256
    # A history row is computed from the same parameters.
    assert figures(job, "final") == figures(job, "best")


def test_a_drain_while_the_best_step_is_replayed_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = stopping_early()
    straight, disturbed = bench.submit(spec), bench.submit(spec)
    bench.work(straight)
    draining: list[bool] = []
    replay = run_job.replay

    def drained_replay(*args: Any) -> Any:
        draining.append(True)
        return replay(*args)

    with monkeypatch.context() as patched:
        patched.setattr(run_job, "replay", drained_replay)
        bench.work(disturbed, lambda _: bool(draining))
    job = bench.job(disturbed)
    assert (job.state, job.step) == ("queued", bench.job(straight).step)
    bench.work(disturbed)
    assert bench.sha256(disturbed) == bench.sha256(straight)
    assert bench.history(disturbed) == bench.history(straight)


def test_the_first_parameters_are_kept_for_looking_back(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)
    bench.work(id)
    kept = bench.checkpoints(id)
    assert kept[0] == 0
    data = bench.rows(
        "SELECT data FROM checkpoints WHERE job = :pk AND step = 0", pk=bench.job(id).pk
    )[0][0]
    assert checkpoint_format.decode(bytes(data)).parameters.tobytes() == (
        state_at(spec, 0).parameters.tobytes()
    )


def test_large_checkpoints_leave_room_for_few(bench: Bench, spec: JobSpec) -> None:
    large = make_spec(checkpoint_every=12, keep="best")
    each = large.state_bytes()
    tight, none = bench.submit(large), bench.submit(large)
    bench.work(tight, checkpoint_bytes_per_job=10 * each)
    bench.work(none, checkpoint_bytes_per_job=1)
    assert 5 <= len(bench.checkpoints(tight)) <= 10
    assert len(bench.checkpoints(none)) <= 2
    # The best step is found again from wherever a checkpoint is left.
    assert bench.sha256(none) == bench.sha256(tight)


def test_what_made_the_bits_is_recorded_with_the_step_from_which_it_did(
    bench: Bench, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = bench.submit(spec)
    bench.work(id, drain_at(2))
    bench.work(id, drain_at(1))
    first = {"from_step": 0, **environment()}
    assert json.loads(bench.job(id).environment) == [first]
    step = bench.job(id).step
    monkeypatch.setattr(run_job, "environment", lambda: environment() | {"numpy": "9.9"})
    bench.work(id)
    second = first | {"from_step": step, "numpy": "9.9"}
    assert json.loads(bench.job(id).environment) == [first, second]


def test_the_history_says_how_long_training_took(bench: Bench, spec: JobSpec) -> None:
    id = bench.submit(spec)
    bench.work(id, drain_at(4))
    bench.work(id)
    job = bench.job(id)
    times = bench.rows(
        "SELECT elapsed_seconds FROM history WHERE job = :pk ORDER BY step", pk=job.pk
    )
    elapsed = [seconds for (seconds,) in times]
    assert elapsed == sorted(elapsed)
    assert 0 < elapsed[0] < elapsed[-1] == pytest.approx(job.trained_seconds)


def test_a_long_job_gives_way_to_somebody_who_has_less_and_resumes_to_the_bit(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed
) -> None:
    id = bench.submit(spec)
    other: list[str] = []

    def somebody_comes(number: int) -> bool:
        if number == 3:
            other.append(bench.submit(spec, owner="bob"))
        return False

    bench.work(id, somebody_comes, turn_seconds=1e-9)
    job = bench.job(id)
    assert (job.state, job.attempt) == ("queued", 0)
    assert 0 < job.step < job.steps
    bench.work_next()
    assert bench.job(other[0]).state == "succeeded"
    assert bench.job(id).state == "queued"
    bench.work_next()
    assert_as_undisturbed(bench, id, undisturbed)


def test_a_long_job_goes_through_where_nobody_else_waits(bench: Bench, spec: JobSpec) -> None:
    id, second = bench.submit(spec), bench.submit(spec)
    bench.work(id, turn_seconds=1e-9)
    assert bench.job(id).state == "succeeded"
    assert bench.job(second).state == "queued"


def test_whoever_ends_a_job_takes_the_next_where_running_jobs_are_limited(bench: Bench) -> None:
    """The messages of the others have found nothing to do meanwhile."""
    ids = [bench.submit(make_spec()) for _ in range(3)]
    bench.work_next()
    assert [bench.job(id).state for id in ids] == ["succeeded", "queued", "queued"]
    bench.work_next(max_running_jobs_per_owner=1)
    assert [bench.job(id).state for id in ids] == ["succeeded"] * 3
