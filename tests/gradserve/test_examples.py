"""Each example is a valid job and learns its task."""

import csv
import io
from pathlib import Path

import pytest
from sklearn import datasets  # type: ignore[import-untyped]

from engine.data.preprocessing import Preprocessing
from engine.inference import predict
from engine.networks.forward import layers_of
from engine.spec import JobSpec
from engine.train import HistoryRow, train
from engine.training.prepared import load_rows
from gradserve.cli.job_file import read_job

EXAMPLES = Path(__file__).parents[2] / "examples"
# The highest loss and the lowest score (accuracy, or R² in a regression) at the last step, on the
# validation rows if there are some.
LEARNED = {
    "diabetes": (0.6, 0.4),
    "digits": (0.2, 0.96),
    "iris": (0.15, 0.95),
    "lecture": (0.01, 0.99),
    "moons": (0.011, 1.0),
    "regression": (0.01, 0.98),
    "spiral": (0.1, 0.95),
    "wine": (0.1, 0.95),
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


def table(name: str) -> list[list[str]]:
    """The data set as a file of people has it: names of columns, and classes by name."""
    bunch = getattr(datasets, f"load_{name}")()
    classes = getattr(bunch, "target_names", None)
    rows = [
        [*map(repr, x), y if classes is None else f"class {classes[int(y)]}"]
        for x, y in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)
    ]
    return [[*bunch.feature_names, "answer"], *rows]


@pytest.mark.parametrize(
    ("name", "least"), [("iris", 0.95), ("wine", 0.95), ("digits", 0.95), ("diabetes", 0.4)]
)
def test_a_file_with_names_is_learned_and_asked_by_name(name: str, least: float) -> None:
    header, *rows = table(name)
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    example = read_job(str(EXAMPLES / f"{name}.json"))
    changed = {"kind": "csv", "text": text.getvalue()}
    spec = JobSpec.model_validate(example | {"dataset": example["dataset"] | changed})
    *_, last = train(spec)
    model = Preprocessing.from_json(last.preprocessing.to_json())
    activations = [layer.activation for layer in spec.model.layers]
    layers = layers_of(last.snapshot().parameters, spec.sizes(), activations)
    held_out = [rows[i] for i in load_rows(spec).validation]
    asked = [dict(zip(header, map(float, row[:-1]), strict=False)) for row in held_out]
    answers = predict(model, layers, asked)
    if name == "diabetes":
        truth = [float(row[-1]) for row in held_out]
        mean = sum(truth) / len(truth)
        errors = sum((a["value"] - t) ** 2 for a, t in zip(answers, truth, strict=True))
        score = 1 - errors / sum((t - mean) ** 2 for t in truth)
    else:
        right = [a["class"] == row[-1] for a, row in zip(answers, held_out, strict=True)]
        score = sum(right) / len(right)
    assert score >= least
