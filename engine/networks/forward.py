"""The forward pass of a network over many rows, with the bits of the network made of Values.

BLAS adds up products in an order that depends on the number of rows, so the same row would get
other last digits in another company. Here each neuron is summed as `Neuron` sums it, b + w₀x₀ +
w₁x₁ + …, for many rows at once. `engine.networks.predict.outputs` is the faster pass for pictures.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.arrays import Array
from engine.networks.activations import activation

BLOCK = 16_384
"""Numbers of a layer that are worked on at once: 128 kB stay in the cache."""


@dataclass(frozen=True, slots=True)
class LayerParameters:
    """The parameters of a layer: `weights` are units × inputs, `biases` one per unit."""

    weights: Array
    biases: Array
    activation: str


def layers_of(
    parameters: Array, sizes: Sequence[int], activations: Sequence[str]
) -> list[LayerParameters]:
    """The layers of parameters in one array, neuron by neuron, the weights of each before its bias.

    Args:
        sizes: the inputs, then the units of each layer.
        activations: one name per layer.

    Raises:
        ValueError: there are more or fewer parameters than the sizes need.
    """
    flat = np.asarray(parameters, dtype=np.float64)
    count = sum((n + 1) * m for n, m in itertools.pairwise(sizes))
    if flat.shape != (count,):
        raise ValueError(f"the network has {count} parameters, and {flat.size} were given")
    layers, start = [], 0
    for n, m, name in zip(sizes[:-1], sizes[1:], activations, strict=True):
        rows = flat[start : start + (n + 1) * m].reshape(m, n + 1)
        layers.append(LayerParameters(rows[:, :-1], rows[:, -1], name))
        start += (n + 1) * m
    return layers


def layers_from(document: Mapping[str, Any]) -> list[LayerParameters]:
    """The layers of `{"layers": [{"weights", "biases", "activation"}, …]}`, as the API has them."""
    return [
        LayerParameters(
            np.array(layer["weights"], dtype=np.float64),
            np.array(layer["biases"], dtype=np.float64),
            layer["activation"],
        )
        for layer in document["layers"]
    ]


def forward(layers: Sequence[LayerParameters], inputs: Array) -> Array:
    """The outputs (rows × units) for inputs (rows × inputs).

    A row gets the same bits as `MLP` gives with these parameters, whatever rows are beside it.

    Raises:
        ValueError: the rows have more or fewer inputs than the first layer.
    """
    width = layers[0].weights.shape[1]
    if inputs.ndim != 2 or inputs.shape[1] != width:
        raise ValueError(f"the network has {width} inputs, and the rows are {inputs.shape}")
    found = np.empty((len(inputs), len(layers[-1].biases)))
    widest = max(len(layer.biases) for layer in layers)
    rows = max(1, BLOCK // widest)
    with np.errstate(over="ignore", invalid="ignore"):  # as parameters that diverged do
        for start in range(0, len(inputs), rows):
            values = np.ascontiguousarray(inputs[start : start + rows].T)
            for layer in layers:
                values = activated(layer.activation, sums(layer, values))
            found[start : start + rows] = values.T
    return found


def sums(layer: LayerParameters, values: Array) -> Array:
    """The sums (units × rows) of a layer, each added up from its bias on."""
    total = np.repeat(layer.biases[:, None], values.shape[1], axis=1)
    product = np.empty_like(total)
    for i, row in enumerate(values):
        np.multiply(layer.weights[:, i, None], row, out=product)
        total += product
    return total


def activated(name: str, sums: Array) -> Array:
    found = activation(name)
    if found.number is None:
        exact: Array = found.array(np, sums)
        return exact
    numbers = list(map(found.number, sums.ravel().tolist()))
    return np.array(numbers).reshape(sums.shape)
