"""Any parameters can be scored, and any step can be replayed with the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.train import HistoryRow, InvalidData, Scores, State, state_at, train
from tests.engine.specs import IRIS, MOONS, SMALL, job, vary

EXECUTORS = ("native", "scalar")
REGRESSION = vary(
    SMALL,
    dataset={"kind": "plane", "n_samples": 20, "seed": 2},
    loss={"kind": "mse", "l1": 1e-3, "l2": 1e-2},
)
CASES = {
    "hinge with a penalty": vary(MOONS, dataset={"n_samples": 20}, training={"steps": 5}),
    "classes": vary(IRIS, training={"steps": 5, "batch_size": None}),
    "regression": vary(REGRESSION, training={"steps": 5}),
    "sums": vary(REGRESSION, loss={"reduction": "sum"}, training={"steps": 5}),
}
MEMORIES: dict[str, dict[str, Any]] = {
    "momentum": {"optimizer": {"momentum": 0.9}},
    "adding gradients": {"training": {"zero_grad": False}},
    "mini-batches": {"training": {"batch_size": 5}},
    "early stopping": {
        "training": {"early_stopping": {"patience": 50}, "validation_fraction": 0.25}
    },
}


def states_and_rows(spec: dict[str, Any]) -> tuple[dict[int, State], dict[int, HistoryRow]]:
    states, rows = {}, {}
    for progress in train(job(vary(spec, training={"checkpoint_every": 1}))):
        states[progress.step] = progress.snapshot()
        rows.update({row.step: row for row in progress.rows})
    return states, rows


def evaluate(spec: dict[str, Any], parameters: Any) -> Scores:
    return next(iter(train(job(spec)))).evaluate(parameters)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", CASES)
def test_the_scores_of_a_step_have_the_bits_of_its_history_row(case: str, executor: str) -> None:
    spec = CASES[case] | {"executor": executor}
    states, rows = states_and_rows(spec)
    for step, row in rows.items():
        found = evaluate(spec, states[step].parameters)
        assert found == (row.loss, row.accuracy, row.validation_loss, row.validation_accuracy)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_mini_batches_are_scored_over_all_training_rows(executor: str) -> None:
    spec = CASES["classes"] | {"executor": executor}
    parameters = state_at(job(spec), 3).parameters
    batches = vary(spec, training={"batch_size": 16})
    assert evaluate(batches, parameters) == evaluate(spec, parameters)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_scoring_does_not_disturb_the_training(executor: str) -> None:
    spec = job(vary(SMALL, optimizer={"momentum": 0.5}, training={"batch_size": 4}) | {
        "executor": executor
    })  # fmt: skip
    *_, undisturbed = train(spec)
    for progress in train(spec):
        progress.evaluate(np.zeros(spec.parameters()))
        progress.evaluate(np.full(spec.parameters(), np.inf))
    assert progress.snapshot().parameters.tobytes() == (undisturbed.snapshot().parameters.tobytes())


@pytest.mark.parametrize("executor", EXECUTORS)
def test_parameters_without_a_finite_loss_have_no_scores(executor: str) -> None:
    spec = REGRESSION | {"executor": executor}
    found = evaluate(spec, np.full(job(spec).parameters(), 1e200))
    assert found == (None, None, None, None)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_training_yields_its_first_parameters_before_any_update(executor: str) -> None:
    first = next(iter(train(job(SMALL | {"executor": executor}))))
    assert (first.step, first.rows, first.finished) == (0, [], False)
    resumed = next(iter(train(job(SMALL | {"executor": executor}), first.snapshot())))
    assert resumed.step > 0


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("memory", MEMORIES)
def test_any_step_is_replayed_to_the_bit(memory: str, executor: str) -> None:
    spec = vary(SMALL, **MEMORIES[memory]) | {"executor": executor}
    states, _ = states_and_rows(spec)
    for step, start in ((0, None), (7, None), (13, states[6]), (20, states[20])):
        found = state_at(job(spec), step, start)
        assert found.step == step
        for name, array in states[step].arrays().items():
            assert found.arrays()[name].tobytes() == array.tobytes()


def test_a_step_that_cannot_be_replayed_is_refused() -> None:
    spec = job(SMALL)
    later = state_at(spec, 9)
    for step, start in ((8, later), (21, None), (-1, None)):
        with pytest.raises(InvalidData, match="cannot be replayed"):
            state_at(spec, step, start)
    stopping = {"early_stopping": {"patience": 1, "min_delta": 1e9}, "validation_fraction": 0.25}
    with pytest.raises(InvalidData, match="early stopping ends the training"):
        state_at(job(vary(SMALL, training=stopping)), 20)
