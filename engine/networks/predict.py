"""The forward pass of downloaded parameters, over many points at once.

For what is asked of a trained network on this side: a decision boundary needs tens of thousands
of predictions. The mathematics is the engine's, checked against it operation by operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.arrays import Array


def relu(x: Array) -> Array:
    return np.where(x > 0.0, x, 0.0)


def leaky_relu(x: Array) -> Array:
    return np.where(x > 0.0, x, 0.01 * x)


def tanh(x: Array) -> Array:
    return np.tanh(x)


def sigmoid(x: Array) -> Array:
    # By way of tanh, which does not overflow.
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def gelu(x: Array) -> Array:
    """x·Φ(x) with the normal distribution function Φ (the erf form)."""
    erf = np.vectorize(math.erf, otypes=[np.float64])
    return np.asarray(0.5 * x * (1.0 + erf(math.sqrt(0.5) * x)))


def sin(x: Array) -> Array:
    return np.sin(x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "gelu": gelu,
    "sin": sin,
}


def outputs(parameters: Mapping[str, Any], points: Array) -> Array:
    """What the network answers: points × inputs in, points × output units out."""
    values = np.asarray(points, dtype=np.float64)
    for layer in parameters["layers"]:
        sums = values @ np.array(layer["weights"]).T + np.array(layer["biases"])
        values = ACTIVATIONS[layer["activation"]](sums)
    return values
