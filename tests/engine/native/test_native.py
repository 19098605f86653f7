"""The native executor compared with the scalar one: numbers, batches, bits, slices, memory."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.native import executor
from engine.native.executor import NativeExecutor
from engine.native.kernels.products import has_wide_registers
from engine.native.window import step_arrays
from engine.networks.activations import ACTIVATIONS
from engine.spec import JobSpec
from engine.train import train
from engine.training.prepared import prepare
from engine.training.state import HistoryRow, TrainingState
from tests.engine import published
from tests.engine.specs import DIGITS, MOONS, SPIRAL, job

ROOT = Path(__file__).parents[3]


def run(spec: JobSpec) -> tuple[list[HistoryRow], TrainingState]:
    rows, last = [], None
    for progress in train(spec):
        rows += progress.rows
        last = progress
    assert last is not None
    return rows, last.snapshot()


def assert_alike(spec: dict[str, Any], tolerance: float = 1e-12) -> None:
    """Asserts that both executors log the same numbers and end with the same parameters."""
    native, scalar = (
        run(JobSpec.model_validate(spec | {"executor": name})) for name in ("native", "scalar")
    )
    assert len(native[0]) == len(scalar[0])
    for ours, theirs in zip(native[0], scalar[0], strict=True):
        assert [number is None for number in ours] == [number is None for number in theirs]
        for number, expected in zip(ours, theirs, strict=True):
            assert number is None or number == pytest.approx(expected, rel=tolerance, abs=tolerance)
    ours_at_end, theirs_at_end = native[1].arrays(), scalar[1].arrays()
    assert ours_at_end.keys() == theirs_at_end.keys()
    for name, array in ours_at_end.items():
        assert array == pytest.approx(theirs_at_end[name], rel=tolerance, abs=tolerance)


def small(**changes: Any) -> dict[str, Any]:
    spec = job(**changes).model_dump(mode="json")
    assert isinstance(spec, dict)
    return spec


def test_the_demos_published_losses() -> None:
    rows, _ = run(job(MOONS, executor="native"))
    assert [row.loss for row in rows] == pytest.approx(published.LOSSES, rel=0, abs=1e-14)
    assert {k: rows[k].accuracy for k in published.ACCURACIES} == published.ACCURACIES


def test_the_demo_is_the_scalar_executors_at_each_step() -> None:
    assert_alike(job(MOONS, training={"steps": 30}).model_dump(mode="json"))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str) -> None:
    layers = [{"units": 5, "activation": activation}, {"units": 3, "activation": activation}]
    assert_alike(small(model={"layers": [*layers, {"units": 1}]}, training={"steps": 8}))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", "max_margin", "binary_cross_entropy", "cross_entropy"]
)
def test_every_loss(loss: str, reduction: str) -> None:
    units = 2 if loss == "cross_entropy" else 1
    assert_alike(
        small(
            loss={"kind": loss, "reduction": reduction},
            model={"layers": [{"units": 4, "activation": "tanh"}, {"units": units}]},
            optimizer={"learning_rate": 0.02},
            training={"steps": 8, "validation_fraction": 0.25},
        )
    )


@pytest.mark.parametrize(
    "rate",
    [
        0.1,
        {"kind": "linear", "start": 0.2, "end": 0.0},
        {"kind": "step", "start": 0.2, "factor": 0.5, "every": 3},
        {"kind": "exponential", "start": 0.2, "factor": 0.9},
        {"kind": "cosine", "start": 0.2},
        {"kind": "warmup", "steps": 4, "then": {"kind": "cosine", "start": 0.2}},
    ],
)
def test_every_schedule(rate: Any) -> None:
    assert_alike(small(optimizer={"learning_rate": rate}, training={"steps": 12}))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"momentum": 0.9}},
        {"optimizer": {"momentum": 0.9, "nesterov": True}},
        {"optimizer": {"clip_norm": 0.05}},
        {"optimizer": {"clip_norm": 0.05, "momentum": 0.5}, "training": {"zero_grad": False}},
        {"training": {"zero_grad": False}},
        {"loss": {"l1": 0.01}},
        {"loss": {"l2": 0.01}},
        {"loss": {"l1": 0.01, "l2": 0.02}, "training": {"validation_fraction": 0.25}},
        {"training": {"batch_size": 5, "seed": 3}},
        {"training": {"batch_size": 1}},
        {"training": {"batch_size": 8, "validation_fraction": 0.3, "log_every": 3}},
        {
            "training": {
                "validation_fraction": 0.25,
                "early_stopping": {"patience": 2, "min_delta": 0.01},
            }
        },
    ],
    ids=str,
)  # fmt: skip
def test_every_option(changes: dict[str, Any]) -> None:
    assert_alike(small(**changes))


def line(x: list[float], **changes: Any) -> JobSpec:
    """A job with one row of targets 0 and the absolute error: the weights' gradient is ±x."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "inline", "x": [x, x], "y": [0.0, 0.0]},
            "model": {"layers": [{"units": 1}]},
            "loss": {"kind": "mae"},
            "optimizer": {"learning_rate": 0.5} | changes,
            "training": {"steps": 1},
            "executor": "native",
        }
    )


def moved(spec: JobSpec) -> tuple[HistoryRow, np.ndarray]:
    """The only row, and the change of the parameters in the step."""
    native = NativeExecutor(prepare(spec))
    before = native.state().parameters
    (row,) = [row for rows in native.run(1) for row in rows]
    return row, native.state().parameters - before


@pytest.mark.parametrize(
    "x", [[1e154], [3e160, 4e160], [1e200, 1e199], [1e300], [1e307, 1e307, -1e307]], ids=str
)
def test_the_norm_of_a_gradient_whose_squares_overflow(x: list[float]) -> None:
    row, _ = moved(line(x, learning_rate=1e-300))
    assert row.gradient_norm == pytest.approx(math.hypot(*x, 1.0), rel=1e-15)
    row, step = moved(line(x, clip_norm=0.25))
    assert row.gradient_norm == pytest.approx(math.hypot(*x, 1.0), rel=1e-15)
    assert np.abs(step[:-1]) == pytest.approx(0.125 * np.abs(x) / math.hypot(*x), rel=1e-9)


def test_a_gradient_whose_length_overflows_is_clipped_in_its_direction() -> None:
    row, step = moved(line([1.2e308, -1.2e308, 1.2e308], clip_norm=3.0))
    assert row.gradient_norm is None
    assert np.abs(step[:3]) == pytest.approx(1.5 / math.sqrt(3.0), rel=1e-9)


def test_the_norm_of_a_gradient_whose_squares_vanish() -> None:
    program = small(
        dataset={"kind": "inline", "x": [[0.0], [0.0]], "y": [1e-180, 3e-180]},
        loss={"kind": "mse"},
        model={"layers": [{"units": 1}]},
        training={"steps": 1},
    )
    for clipped in ({}, {"clip_norm": 1.0}):
        program["optimizer"] |= clipped
        row, _ = moved(JobSpec.model_validate(program))
        assert row.gradient_norm == pytest.approx(4e-180, rel=1e-15)


def test_relus_wide_enough_to_leave_zeros_out() -> None:
    layers = [{"units": units, "activation": "relu"} for units in (34, 37)]
    wide = small(
        dataset={"kind": "moons", "n_samples": 90},
        loss={"kind": "binary_cross_entropy"},
        model={"layers": [*layers, {"units": 1}]},
        training={"steps": 5, "batch_size": 70},
    )
    assert_alike(wide)
    native = NativeExecutor(prepare(JobSpec.model_validate(wide)))
    for _ in native.run(5):
        pass
    assert native.workspace.marks.any()


def test_a_regression() -> None:
    assert_alike(
        small(
            dataset={"kind": "plane", "n_samples": 30},
            loss={"kind": "mse"},
            optimizer={"learning_rate": 0.01},
            training={"steps": 20, "batch_size": 7, "validation_fraction": 0.2},
        )
    )


@pytest.mark.parametrize("size", [None, 1, 7, 8, 32])
def test_batches_are_those_of_the_problem(size: int | None) -> None:
    spec = job(
        dataset={"kind": "gauss", "n_samples": 50},
        training={"steps": 100, "batch_size": size, "validation_fraction": 0.1, "seed": 7},
    )
    prepared = prepare(spec)
    window = step_arrays(prepared, 3, 40)
    order, starts, sizes = window.order, window.steps["start"], window.steps["examples"]
    assert order[:5].tolist() == list(range(45, 50))
    for i, step in enumerate(range(3, 40)):
        expected = list(prepared.batches.indices(step))
        assert order[starts[i] : starts[i] + sizes[i]].tolist() == expected
        padding = order[starts[i] + sizes[i] : starts[i] - (-sizes[i] // 8 * 8)]
        assert set(padding.tolist()) <= {expected[-1]}


@pytest.mark.parametrize("every", [1, 7, 100])
def test_logged_steps_are_those_of_the_specification(every: int) -> None:
    spec = job(training={"steps": 50, "log_every": every})
    window = step_arrays(prepare(spec), 10, 50)
    assert window.steps["logged"].tolist() == [spec.training.logs(step) for step in range(10, 50)]
    assert window.history.shape == (5, window.steps["logged"].sum())


def test_it_takes_no_steps_after_the_last() -> None:
    native = NativeExecutor(prepare(job(training={"steps": 3})))
    rows = [row.step for _ in range(2) for found in native.run(9) for row in found]
    assert (rows, native.step) == ([0, 1, 2], 3)


def test_a_workspace_is_not_copied_with_its_addresses() -> None:
    native = NativeExecutor(prepare(job()))
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copy.deepcopy(native)


EVERYTHING: dict[str, Any] = {
    "dataset": {"kind": "gauss", "n_samples": 300, "noise": 0.5, "seed": 3},
    "model": {
        "layers": [
            {"units": 13, "activation": "tanh"},
            {"units": 16, "activation": "gelu"},
            {"units": 9, "activation": "relu"},
            {"units": 5, "activation": "sin"},
            {"units": 3, "activation": "softplus"},
            {"units": 2},
        ],
        "init": {"kind": "xavier", "seed": 1},
    },
    "loss": {"kind": "cross_entropy", "l1": 1e-4, "l2": 1e-3},
    "optimizer": {"learning_rate": 0.05, "momentum": 0.9, "clip_norm": 2.0},
    "training": {"steps": 60, "batch_size": 41, "validation_fraction": 0.2},
    "executor": "native",
}


WIDE: dict[str, Any] = {
    "dataset": {"kind": "moons", "n_samples": 300, "seed": 3},
    "model": {
        "layers": [
            *({"units": units, "activation": "relu"} for units in (34, 70, 37)),
            {"units": 1},
        ]
    },
    "loss": {"kind": "max_margin"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 15, "batch_size": 130, "validation_fraction": 0.3},
}
"""A job with a network wide enough to leave zeros out."""


def fingerprint(rows: list[HistoryRow], state: TrainingState) -> str:
    content = json.dumps([rows, state.parameters.tolist()])
    return hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize("spec", [EVERYTHING, WIDE], ids=["everything", "wide"])
@pytest.mark.parametrize("slice_seconds", [0.0, 1e-4, 10.0])
def test_slices_change_no_bit(
    spec: dict[str, Any], slice_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fingerprint(*run(JobSpec.model_validate(spec)))
    monkeypatch.setattr(executor, "SLICE_SECONDS", slice_seconds)
    monkeypatch.setattr(executor, "FIRST_BUDGET", 1)
    assert fingerprint(*run(JobSpec.model_validate(spec))) == expected


def fingerprints(specs: list[dict[str, Any]]) -> list[str]:
    return [fingerprint(*run(JobSpec.model_validate(spec))) for spec in specs]


def in_another_process(**environment: str) -> list[str]:
    program = (
        "import json, sys\n"
        "from tests.engine.native.test_native import fingerprints\n"
        "print(*fingerprints(json.loads(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps([EVERYTHING, WIDE])],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    return done.stdout.split()


def test_another_process_gives_the_same_bits() -> None:
    assert in_another_process() == fingerprints([EVERYTHING, WIDE])


@pytest.mark.long  # it compiles all kernels for another processor
@pytest.mark.skipif(not has_wide_registers(), reason="this processor has no AVX-512")
def test_narrow_registers_give_the_same_bits() -> None:
    narrow = in_another_process(NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="+avx2,+fma")
    assert narrow == fingerprints([EVERYTHING, WIDE])


def test_memory_does_not_grow_with_steps() -> None:
    prepared = prepare(job(MOONS, training={"steps": 100_000, "log_every": 1000}))
    training = NativeExecutor(prepared)
    steps = training.run(100_000)
    for _ in range(5):
        next(steps)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in steps:
        pass
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 200_000


def test_a_step_longer_than_a_slice_ticks_and_keeps_its_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(executor, "FIRST_BUDGET", 1)
    spec = job(
        dataset={"kind": "gauss", "n_samples": 2000},
        training={"steps": 2, "validation_fraction": 0.2},
        executor="native",
    )
    training = NativeExecutor(prepare(spec))
    states = [training.state() for _ in training.run(2)]
    assert [state.step for state in states].count(0) >= 7
    assert all(
        np.array_equal(state.parameters, states[0].parameters) for state in states if not state.step
    )


def test_digits_are_learned() -> None:
    last = run(job(DIGITS, executor="native"))[0][-1]
    assert last.validation_accuracy is not None
    assert last.validation_accuracy >= 0.96


def test_the_spiral_is_learned() -> None:
    last = run(job(SPIRAL, executor="native"))[0][-1]
    assert last.validation_accuracy is not None
    assert last.validation_accuracy >= 0.95
