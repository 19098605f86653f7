"""The forward pass of a trained network over many points at once.

A picture of a decision boundary needs tens of thousands of predictions. The mathematics is that
of the Values, and is checked against them activation by activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.arrays import Array
from engine.networks.activations import activation


def outputs(parameters: Mapping[str, Any], points: Array) -> Array:
    """The network's outputs at each point.

    Args:
        parameters: `{"layers": [{"weights", "biases", "activation"}, …]}` as the API delivers
            them; `weights` are units × inputs.
        points: points × inputs.

    Returns:
        points × output units.
    """
    values = np.asarray(points, dtype=np.float64)
    for layer in parameters["layers"]:
        sums = values @ np.array(layer["weights"]).T + np.array(layer["biases"])
        values = activation(layer["activation"]).array(np, sums)
    return values
