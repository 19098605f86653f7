"""The vectorised forward pass answers what the engine's Values answer."""

import random
from typing import get_args

import numpy as np
import pytest

from engine import MLP, Layer
from engine.networks.predict import ACTIVATIONS, outputs
from engine.spec import Activation
from gradserve.types import Parameters


def parameters_of(model: MLP, activations: list[str]) -> Parameters:
    layers = [
        {
            "weights": [[w.data for w in neuron.w] for neuron in layer.neurons],
            "biases": [neuron.b.data for neuron in layer.neurons],
            "activation": activation,
        }
        for layer, activation in zip(model.layers, activations, strict=True)
    ]
    return {"step": 0, "sha256": "", "layers": layers}


def test_every_activation_of_a_specification_is_known() -> None:
    assert set(ACTIVATIONS) == set(get_args(Activation))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_network_answers_as_on_values(activation: str) -> None:
    rng = random.Random(activation)
    draw = lambda: rng.uniform(-2.0, 2.0)  # noqa: E731
    model = MLP.of(
        [
            Layer(3, 5, activation=activation, draw=draw, draw_bias=draw),
            Layer(5, 2, activation="linear", draw=draw, draw_bias=draw),
        ]
    )
    points = np.array([[draw() for _ in range(3)] for _ in range(20)])
    expected = [[value.data for value in model(row.tolist())] for row in points]
    answered = outputs(parameters_of(model, [activation, "linear"]), points)
    np.testing.assert_allclose(answered, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations_do_not_overflow_far_out(activation: str) -> None:
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(ACTIVATIONS[activation](np.array([-1000.0, 1000.0]))).all()
