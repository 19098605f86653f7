"""The forward pass over many rows has the bits of the network made of Values."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from engine import MLP, Layer
from engine.networks.activations import ACTIVATIONS
from engine.networks.forward import forward, layers_from, layers_of
from engine.networks.predict import outputs


def network(activation: str, sizes: list[int]) -> MLP:
    random.seed(7)
    pairs = list(itertools.pairwise(sizes))
    layers = [Layer(n, m, activation=activation) for n, m in pairs[:-1]]
    return MLP.of([*layers, Layer(*pairs[-1], nonlin=False)])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [[2, 16, 16, 1], [7, 5, 3], [1, 1], [3, 40, 2]])
def test_a_row_has_the_bits_of_the_network_of_values(activation: str, sizes: list[int]) -> None:
    model = network(activation, sizes)
    flat = np.array([p.data for p in model.parameters()])
    layers = layers_of(flat, sizes, [activation] * (len(sizes) - 2) + ["linear"])
    x = np.random.default_rng(3).normal(0, 2, (41, sizes[0]))
    wanted = [[value.data for value in model.outputs(row)] for row in x.tolist()]
    assert forward(layers, x).tolist() == wanted
    # Neither the company of a row nor its place changes it.
    many = np.repeat(x, 300, axis=0)
    assert forward(layers, many)[::300].tolist() == wanted
    assert forward(layers, x[5:6]).tolist() == wanted[5:6]
    document = {
        "layers": [
            {
                "weights": layer.weights.tolist(),
                "biases": layer.biases.tolist(),
                "activation": layer.activation,
            }
            for layer in layers
        ]
    }
    assert forward(layers_from(document), x).tolist() == wanted
    assert outputs(document, x) == pytest.approx(np.array(wanted), rel=1e-9, abs=1e-12)


def test_parameters_and_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="the network has 3 parameters, and 4 were given"):
        layers_of(np.zeros(4), [2, 1], ["linear"])
    with pytest.raises(ValueError, match="the network has 2 inputs"):
        forward(layers_of(np.zeros(3), [2, 1], ["linear"]), np.zeros((4, 3)))
