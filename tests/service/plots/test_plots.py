"""Pictures: drawn without a display, the same each time, showing the network's outputs."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from engine.inference import preprocessing_of
from gradserve.types import HistoryRow, Parameters
from service.plots.decision_boundary import draw_decision_boundary
from service.plots.loss_curve import draw_loss_curve
from tests.engine.specs import job

# The score of this network is x1, so the left half is blue and the right half vermilion.
LEFT_AND_RIGHT: Parameters = {
    "step": 1,
    "sha256": "",
    "layers": [{"weights": [[5.0, 0.0]], "biases": [0.0], "activation": "linear"}],
}
X = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
Y = np.array([0.0, 0.0, 1.0, 1.0])


def row(step: int, loss: float | None, accuracy: float | None) -> HistoryRow:
    return {
        "step": step,
        "loss": loss,
        "accuracy": accuracy,
        "validation_loss": None,
        "validation_accuracy": None,
        "learning_rate": 0.1,
        "gradient_norm": None,
    }


def pixels(path: Path) -> np.ndarray:
    image = matplotlib.image.imread(path)
    assert image.shape[:2] == (750, 1080)
    return image[:, :, :3]


def test_the_plane_is_coloured_as_the_network_answers(tmp_path: Path) -> None:
    path = tmp_path / "boundary.png"
    draw_decision_boundary(LEFT_AND_RIGHT, X, Y, "left and right", path)
    image = pixels(path)
    red, blue = image[:, :, 0], image[:, :, 2]
    plane = slice(100, 900)  # without the colour bar
    warm = np.nonzero((red > blue + 0.2)[:, plane])[1]
    cold = np.nonzero((blue > red + 0.2)[:, plane])[1]
    assert min(len(warm), len(cold)) > 20_000
    assert np.median(cold) < np.median(warm)


def test_the_plane_is_that_of_the_columns_where_inputs_are_features(tmp_path: Path) -> None:
    """One neuron of the feature x*y has a boundary along both axes, as XOR needs it."""
    product = {"kind": "inline", "x": X.tolist(), "y": [1.0, 0.0, 0.0, 1.0]}
    product["features"] = ["x0*x1"]
    spec = job(dataset=product, model={"layers": [{"units": 1}]})
    layer = {"weights": [[5.0]], "biases": [0.0], "activation": "linear"}
    path = tmp_path / "boundary.png"
    y = np.array([1.0, 0.0, 0.0, 1.0])
    draw_decision_boundary({"layers": [layer]}, X, y, "xor", path, preprocessing_of(spec))
    image = pixels(path)
    warm = np.nonzero((image[:, :, 0] > image[:, :, 2] + 0.2)[100:600, 100:800])
    assert min(np.mean(warm[1] < 350), np.mean(warm[1] > 350)) > 0.3


def test_the_same_result_is_the_same_picture(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        draw_decision_boundary(LEFT_AND_RIGHT, X, Y, "left and right", tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


@pytest.mark.parametrize(
    "history",
    [
        [row(step, 1.0 / (step + 1), step / 10) for step in range(10)],
        [row(0, 0.5, None)],
        [row(0, 1.0, 0.5), row(1, None, None), row(2, 0.5, 0.75)],
        [row(0, 1.0, 0.5), row(1, 0.0, 1.0)],
    ],
    ids=["ordinary", "one step", "a gap", "down to zero"],
)
def test_any_history_can_be_drawn(tmp_path: Path, history: list[HistoryRow]) -> None:
    path = tmp_path / "loss.png"
    draw_loss_curve(history, "loss", path)
    image = pixels(path)
    ink = image[:, :, 2] - image[:, :, 0]
    assert (ink > 0.4).sum() > 50, "the curve is blue"


def test_a_score_is_drawn_under_its_name(tmp_path: Path) -> None:
    history = [row(step, 1.0 / (step + 1), step / 10) for step in range(10)]
    for name in ("accuracy", "R²"):
        draw_loss_curve(history, "loss", tmp_path / f"{name}.png", name)
    assert (pixels(tmp_path / "accuracy.png") != pixels(tmp_path / "R².png")).any()
