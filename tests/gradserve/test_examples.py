"""Each example is a valid job and learns its task."""

from pathlib import Path

import pytest

from engine.spec import JobSpec
from engine.train import HistoryRow, train
from gradserve.cli.job_file import read_job

EXAMPLES = Path(__file__).parents[2] / "examples"
# The highest loss and the lowest score (accuracy, or R² in a regression) at the last step, on the
# validation rows if there are some.
LEARNED = {
    "digits": (0.2, 0.96),
    "lecture": (0.01, 0.99),
    "moons": (0.011, 1.0),
    "regression": (0.01, 0.98),
    "spiral": (0.1, 0.95),
    "xor": (0.01, 1.0),
}


def history_of(name: str) -> list[HistoryRow]:
    spec = JobSpec.model_validate(read_job(str(EXAMPLES / f"{name}.json")))
    return [row for progress in train(spec) for row in progress.rows]


def test_every_example_is_tested() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.json")} == set(LEARNED)


@pytest.mark.parametrize("name", sorted(LEARNED))
def test_an_example_learns(name: str) -> None:
    loss, score = LEARNED[name]
    history = history_of(name)
    last = history[-1]
    reached = last.loss if last.validation_loss is None else last.validation_loss
    right = last.accuracy if last.validation_accuracy is None else last.validation_accuracy
    assert reached < loss < history[0].loss
    assert right is not None
    assert right >= score


def test_moons_has_the_losses_that_micrograds_demo_publishes() -> None:
    history = history_of("moons")
    assert [row.step for row in history] == list(range(100))
    assert history[0].loss == pytest.approx(0.8958441028683222, abs=1e-12)
    assert history[99].loss == pytest.approx(0.010978370135492717, abs=1e-12)
    assert history[99].accuracy == 1.0
