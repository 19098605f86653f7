"""The forward pass on arrays gives the outputs that Values give."""

import random
from typing import get_args

import numpy as np
import pytest

from engine import MLP, Layer
from engine.networks.activations import ACTIVATIONS
from engine.networks.predict import outputs
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
def test_a_network_gives_the_outputs_that_values_give(activation: str) -> None:
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
    found = outputs(parameters_of(model, [activation, "linear"]), points)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations_do_not_overflow_far_out(activation: str) -> None:
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(ACTIVATIONS[activation].array(np, np.array([-1000.0, 1000.0]))).all()
