"""Training: the demo's losses, slices, resuming with the same bits, and failures.

Every test runs with both executors.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from engine.native import allocation
from engine.native import executor as native
from engine.networks.batch_loss import example_weight, l1, l2, reduce
from engine.spec import JobSpec
from engine.spec.loss import r_squared
from engine.train import Diverged, HistoryRow, InvalidData, TrainingState, train
from engine.training import scalar
from engine.training.initialise import build
from engine.training.prepared import prepare
from tests.engine import published, specs
from tests.engine.specs import IRIS, MOONS, job


@pytest.fixture(autouse=True, params=["scalar", "native"])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The executor of the jobs of a test."""
    for base in (specs.SMALL, MOONS, IRIS):
        monkeypatch.setitem(base, "executor", request.param)
    return str(request.param)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes slices end as often as an executor can.

    That is after every example, or after every block of eight.
    """
    monkeypatch.setattr(scalar, "SLICE", 0.0)
    monkeypatch.setattr(native, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(native, "FIRST_BUDGET", 1)
    monkeypatch.setattr(allocation, "BLOCK", 8)


def run(
    spec: JobSpec, start: TrainingState | None = None
) -> tuple[list[HistoryRow], TrainingState]:
    """All rows, and the final state."""
    rows, progress = [], None
    for progress in train(spec, start):
        rows += progress.rows
    assert progress is not None
    assert progress.finished
    return rows, progress.snapshot()


def same(a: TrainingState, b: TrainingState) -> bool:
    ours, theirs = a.arrays(), b.arrays()
    return (
        a.step == b.step
        and ours.keys() == theirs.keys()
        and all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    )


def test_the_demos_published_losses() -> None:
    rows, state = run(job(MOONS))
    assert [row.step for row in rows] == list(range(100))
    assert [row.loss for row in rows] == pytest.approx(published.LOSSES, abs=1e-12)
    assert {k: rows[k].accuracy for k in published.ACCURACIES} == published.ACCURACIES
    assert [row.learning_rate for row in rows] == [1.0 - 0.9 * k / 100 for k in range(100)]
    assert (state.step, state.parameters.shape) == (100, (337,))


EVERYTHING: dict[str, Any] = {
    "dataset": {"kind": "gauss", "n_samples": 23, "noise": 0.5, "seed": 3},
    "loss": {"kind": "binary_cross_entropy", "l1": 1e-3, "l2": 1e-2},
    "optimizer": {
        "learning_rate": {"kind": "warmup", "steps": 5, "then": {"kind": "cosine", "start": 0.2}},
        "momentum": 0.9,
        "nesterov": True,
        "clip_norm": 0.7,
    },
    "training": {
        "steps": 40,
        "batch_size": 5,
        "seed": 9,
        "log_every": 3,
        "checkpoint_every": 10,
        "validation_fraction": 0.2,
        "early_stopping": {"patience": 8},
    },
}
"""Every option at once."""


@pytest.mark.parametrize(
    "options",
    [{}, EVERYTHING, EVERYTHING | {"training": {"steps": 30, "zero_grad": False, "batch_size": 4}}],
    ids=["plain", "everything", "zero_grad"],
)
@pytest.mark.usefixtures("eager")
def test_resuming_from_any_snapshot_ends_with_the_same_bits(options: dict[str, Any]) -> None:
    spec = job(**options)
    snapshots: dict[int, tuple[TrainingState, list[HistoryRow]]] = {}
    rows: list[HistoryRow] = []
    for progress in train(spec):
        rows += progress.rows
        state = progress.snapshot()
        assert state.step == progress.step
        if progress.step in snapshots:
            assert same(state, snapshots[progress.step][0])
        snapshots[progress.step] = state, list(rows)
    assert len(snapshots) >= progress.step
    for state, before in snapshots.values():
        restored = TrainingState.of(
            state.step, {name: np.array(a) for name, a in state.arrays().items()}
        )
        after, end = run(spec, restored)
        assert same(end, progress.snapshot())
        assert before + after == rows


@pytest.mark.usefixtures("eager")
def test_slow_steps_tick_on_the_way(executor: str) -> None:
    seen = [(p.step, len(p.rows)) for p in train(job(training={"steps": 2}))]
    assert [step for step, _ in seen].count(0) >= (10 if executor == "scalar" else 1)
    assert sum(rows for _, rows in seen) == 2


def test_progress_stops_at_every_checkpoint() -> None:
    spec = job(training={"steps": 20, "checkpoint_every": 6})
    steps = [progress.step for progress in train(spec)]
    assert {6, 12, 18, 20} <= set(steps)
    assert steps == sorted(steps)


def test_only_the_last_progress_is_finished() -> None:
    parts = list(train(job()))
    assert [p.finished for p in parts] == [False] * (len(parts) - 1) + [True]


def test_a_finished_state_has_nothing_left_to_do() -> None:
    _, state = run(job())
    (only,) = train(job(), state)
    assert (only.step, only.rows, only.finished) == (20, [], True)
    assert same(only.snapshot(), state)


def test_a_state_of_another_network_is_refused() -> None:
    _, state = run(job())
    with pytest.raises(InvalidData, match="17 parameters, the network has 337"):
        next(train(job(MOONS), state))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"velocity": None}, "no velocity"),
        ({"velocity": np.zeros(3)}, "velocity of the state has 3 numbers"),
        ({"gradient": np.zeros(17)}, "a gradient"),
        ({"patience": None}, "no patience"),
        ({"step": 41}, "step 41 of 40"),
        ({"step": -1}, "step -1 of 40"),
    ],
)
def test_a_state_of_another_training_is_refused(changes: dict[str, Any], words: str) -> None:
    spec = job(**EVERYTHING)
    state = dataclasses.replace(run(spec)[1], **changes)
    with pytest.raises(InvalidData, match=words):
        next(train(spec, state))


def test_the_same_bits_in_another_process() -> None:
    program = (
        "import hashlib, json, sys\n"
        "from engine.spec import JobSpec\n"
        "from engine.train import train\n"
        "spec = JobSpec.model_validate(json.loads(sys.argv[1]))\n"
        "*_, last = train(spec)\n"
        "print(hashlib.sha256(last.snapshot().parameters.tobytes()).hexdigest())"
    )
    spec = job(**EVERYTHING)
    command = [sys.executable, "-c", program, spec.model_dump_json()]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert hashlib.sha256(run(spec)[1].parameters.tobytes()).hexdigest() == other


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_step_is_that_of_the_whole_graph(reduction: str, executor: str) -> None:
    """A step example by example equals a step of one graph of all rows, as in the lecture.

    The scalar executor gives the same bits; the native one adds in another order.
    """
    spec = job(
        loss={"kind": "binary_cross_entropy", "reduction": reduction, "l1": 1e-3, "l2": 1e-2},
        training={"steps": 1},
    )
    prepared = prepare(spec)
    model = build(spec.model, 2)
    examples = zip(prepared.training.x.tolist(), prepared.training.targets.tolist(), strict=True)
    losses = [prepared.loss(model.outputs(x), target) for x, target in examples]
    total = reduce(losses, reduction)
    total = total + l2(model.parameters(), 1e-2) + l1(model.parameters(), 1e-3)
    total.backward()
    ((row,), state) = run(spec)
    tolerance = 0.0 if executor == "scalar" else 1e-14
    assert row.loss == pytest.approx(total.data, rel=tolerance, abs=tolerance)
    expected = [p.data - 0.1 * p.grad for p in model.parameters()]
    assert state.parameters.tolist() == pytest.approx(expected, rel=tolerance, abs=tolerance)
    squares = 0.0
    for p in model.parameters():
        squares += p.grad * p.grad  # not by sum(), which rounds otherwise from Python 3.12 on
    assert row.gradient_norm == pytest.approx(math.sqrt(squares), rel=tolerance, abs=tolerance)


def test_every_step_sees_its_batch() -> None:
    """A step on a batch equals a step on a data set that holds only these rows."""
    spec = job(training={"steps": 1, "batch_size": 5, "seed": 4})
    prepared = prepare(spec)
    rows = list(prepared.batches.indices(0))
    inline = {
        "kind": "inline",
        "x": prepared.training.x[rows].tolist(),
        "y": prepared.training.targets[rows, 0].tolist(),
    }
    expected = run(job(dataset=inline, training={"steps": 1}))
    assert run(spec)[0] == expected[0]
    assert same(run(spec)[1], expected[1])


def test_the_last_batch_of_an_epoch_weighs_its_own_rows() -> None:
    spec = job(training={"steps": 3, "batch_size": 5})
    sizes = [len(prepare(spec).batches.indices(k)) for k in range(3)]
    assert sizes == [5, 5, 2]
    assert example_weight(2, "mean") == 0.5
    assert all(0.1 < row.loss < 3 for row in run(spec)[0])


def test_without_zero_grad_gradients_add_up() -> None:
    one = {"steps": 1, "zero_grad": False}
    first = run(job(training=one))[1]
    assert same(dataclasses.replace(first, gradient=None), run(job(training={"steps": 1}))[1])
    second = run(job(training={**one, "steps": 2}))[1]
    assert first.gradient is not None
    assert second.gradient is not None
    fresh = second.gradient - first.gradient
    moved = first.parameters - 0.1 * second.gradient
    assert second.parameters.tolist() == moved.tolist()
    assert np.abs(fresh).max() > 0


def test_validation_rows_are_not_trained_on_and_have_the_same_loss_formula() -> None:
    spec = job(
        loss={"kind": "binary_cross_entropy", "l2": 0.1},
        training={"steps": 1, "validation_fraction": 0.25},
    )
    prepared = prepare(spec)
    assert prepared.validation is not None
    assert (len(prepared.training), len(prepared.validation)) == (9, 3)
    ((row,), _) = run(spec)
    model = build(spec.model, 2)
    rows = zip(prepared.validation.x.tolist(), prepared.validation.targets.tolist(), strict=True)
    losses = [prepared.loss(model.outputs(x), target) for x, target in rows]
    expected = reduce(losses, "mean") + l2(model.parameters(), 0.1)
    assert row.validation_loss == pytest.approx(expected.data, rel=1e-15)
    assert row.validation_accuracy in (0.0, 1 / 3, 2 / 3, 1.0)


def test_early_stopping_ends_when_patience_is_gone() -> None:
    """A rate of almost 0 never improves by min_delta, so training ends three logged steps later."""
    spec = job(
        optimizer={"learning_rate": 1e-12},
        training={
            "steps": 1000,
            "log_every": 2,
            "validation_fraction": 0.25,
            "early_stopping": {"patience": 3, "min_delta": 0.01},
        },
    )
    rows, state = run(spec)
    assert [row.step for row in rows] == [0, 2, 4, 6]
    assert (state.step, state.patience) == (7, (rows[0].validation_loss, 3))
    (only,) = train(spec, state)
    assert (only.finished, only.rows) == (True, [])


def test_early_stopping_continues_while_the_loss_falls() -> None:
    early = {"validation_fraction": 0.25, "early_stopping": {"patience": 1}}
    rows, _ = run(job(training={"steps": 30, **early}))
    losses = [row.validation_loss for row in rows if row.validation_loss is not None]
    assert len(losses) == 30
    assert losses == sorted(losses, reverse=True)


def test_a_regression_reports_r_squared() -> None:
    spec = job(
        dataset={"kind": "plane", "n_samples": 50},
        model={"layers": [{"units": 1}], "init": {"kind": "xavier"}},
        loss={"kind": "mse"},
        optimizer={"learning_rate": 0.02},
        training={"steps": 60},
    )
    rows, _ = run(spec)
    assert rows[-1].accuracy is not None
    assert 0.99 < rows[-1].accuracy <= 1.0
    assert rows[0].accuracy is not None
    assert rows[0].accuracy < 0.9


def test_targets_that_are_all_the_same_have_no_r_squared() -> None:
    spec = job(
        dataset={"kind": "inline", "x": [[k] for k in range(6)], "y": [0.1] * 6},
        loss={"kind": "mse"},
        training={"steps": 3, "validation_fraction": 0.5},
    )
    for row in run(spec)[0]:
        assert row.accuracy is None
        assert row.validation_accuracy is None
    assert r_squared(np.array([[0.2]]), np.array([[1e-170], [2e-170]])) is None


def test_r_squared_by_hand() -> None:
    targets = np.array([[1.0], [2.0], [3.0]])
    assert r_squared(targets, targets) == 1.0
    assert r_squared(np.full((3, 1), 2.0), targets) == 0.0
    assert r_squared(targets, np.ones((3, 1))) is None


def test_iris_is_learned() -> None:
    last = run(job(IRIS))[0][-1]
    assert last.validation_accuracy is not None
    assert last.validation_accuracy >= 0.93


@pytest.mark.parametrize("log_every", [1, 7])
def test_divergence_keeps_the_rows_before_it(log_every: int) -> None:
    spec = job(
        dataset={"kind": "plane", "n_samples": 10},
        loss={"kind": "mse"},
        model={"layers": [{"units": 4}, {"units": 1}], "init": {"kind": "xavier"}},
        optimizer={"learning_rate": 50.0},
        training={"steps": 500, "log_every": log_every},
    )
    parts = train(spec)
    rows: list[HistoryRow] = []

    def consume() -> None:
        for progress in parts:
            assert not progress.finished
            rows.extend(progress.rows)

    with pytest.raises(Diverged) as caught:
        consume()
    step = caught.value.step
    assert 0 < step < 500
    assert [row.step for row in rows] == list(range(0, rows[-1].step + 1, log_every))
    assert step - rows[-1].step <= log_every
    assert all(np.isfinite(row.loss) for row in rows)


def test_parameters_that_overflow_in_the_last_step_are_a_divergence() -> None:
    spec = job(
        dataset={"kind": "inline", "x": [[1e152]], "y": [1.0]},
        loss={"kind": "mse"},
        model={"layers": [{"units": 1}]},
        optimizer={"learning_rate": 1e6},
        training={"steps": 1},
    )
    with pytest.raises(Diverged, match="step 0"):
        run(spec)


def test_histories_hold_only_finite_numbers_or_none() -> None:
    spec = job(
        dataset={"kind": "inline", "x": [[1e80], [-1e80]], "y": [1.0, 1.0]},
        loss={"kind": "mse"},
        model={"layers": [{"units": 1}]},
        optimizer={"learning_rate": 1e-300 + 1e-9},
        training={"steps": 1},
    )
    rows = json.dumps([tuple(row) for row in run(spec)[0]], allow_nan=False)
    assert "null" in rows
