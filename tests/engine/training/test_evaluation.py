"""Any parameters can be scored, and any step can be replayed with the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.train import HistoryRow, InvalidData, Scores, TrainingState, state_at, train
from engine.training.prepared import prepare
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


def states_and_rows(spec: dict[str, Any]) -> tuple[dict[int, TrainingState], dict[int, HistoryRow]]:
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
@pytest.mark.parametrize("spec", [SMALL, IRIS], ids=["two classes", "three classes"])
def test_each_figure_is_reported_by_itself(spec: dict[str, Any], executor: str) -> None:
    spec = vary(spec, loss={"l2": 1.0}, training={"validation_fraction": 0.25})
    size = job(spec).parameters()
    kept = evaluate(spec | {"executor": executor}, np.full(size, 0.5))
    # The penalty is infinite, while outputs and the classes that they name are not.
    found = evaluate(spec | {"executor": executor}, np.full(size, 1e200))
    assert None not in kept
    assert (found.loss, found.validation_loss) == (None, None)
    assert None not in (found.accuracy, found.validation_accuracy)
    assert found == evaluate(spec, np.full(size, 1e200))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_large_parameter_without_a_penalty_does_not_spoil_the_validation(executor: str) -> None:
    spec = vary(SMALL, training={"validation_fraction": 0.25}) | {"executor": executor}
    parameters = np.full(job(spec).parameters(), 1e200)
    assert None not in evaluate(spec, parameters)


def test_outputs_that_are_not_numbers_are_scored_alike() -> None:
    count = job(IRIS).parameters()
    for place in range(count - 3, count):  # the bias of an output
        parameters = np.linspace(-1.0, 1.0, count)
        parameters[place] = np.nan
        found = [evaluate(IRIS | {"executor": executor}, parameters) for executor in EXECUTORS]
        assert found[0] == found[1]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("far", ["training", "validation"])
def test_a_row_that_is_too_far_away_spoils_its_own_loss_alone(far: str, executor: str) -> None:
    rows = {
        "kind": "inline",
        "x": [[float(i)] for i in range(8)],
        "y": [float(i) for i in range(8)],
    }
    spec = vary(
        SMALL, dataset=rows, loss={"kind": "mse"}, training={"validation_fraction": 0.25}
    ) | {"executor": executor}
    kept = set(prepare(job(spec)).training.targets[:, 0].tolist())
    rows["y"][next(i for i in range(8) if (i in kept) == (far == "training"))] = 1e200
    found = evaluate(spec, np.zeros(job(spec).parameters()))
    assert (found.loss is None) == (far == "training")
    assert (found.validation_loss is None) == (far == "validation")


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("extra", [-1, 1])
def test_another_number_of_parameters_is_refused(extra: int, executor: str) -> None:
    count = job(SMALL).parameters()
    sentence = f"{count + extra} numbers were given for the {count} parameters of the network"
    with pytest.raises(ValueError, match=sentence):
        evaluate(SMALL | {"executor": executor}, np.zeros(count + extra))


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
