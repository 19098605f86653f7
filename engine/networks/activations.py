"""Everything about each activation, one entry per name.

To add one, write its operation (`engine.autograd.value` says how) and an entry here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.autograd import formulas
from engine.autograd.value import Value


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation in both worlds.

    Attributes:
        shown: its name in the repr of a neuron.
        scalar: the operation on a Value.
        array: the same on an array of any shape. NumPy is its first argument, so that a notebook
            that works on Values alone never loads it. Its last digits may differ.
        number: the same on a float, with the bits of `scalar`; None where `array` has them too.
    """

    shown: str
    scalar: Callable[[Value], Value]
    array: Callable[[Any, Any], Any]
    number: Callable[[float], float] | None


def gelu(np: Any, x: Any) -> Any:
    """x·Φ(x), number by number: NumPy has no error function."""
    return x * np.vectorize(formulas.normal_cdf, otypes=[float])(x)


ACTIVATIONS = {
    "linear": Activation("Linear", lambda x: x, lambda np, x: x, None),
    "relu": Activation("ReLU", Value.relu, lambda np, x: np.where(x <= 0.0, 0.0, x), None),
    "leaky_relu": Activation(
        "LeakyRelu", Value.leaky_relu, lambda np, x: np.where(x > 0.0, x, 0.01 * x), None
    ),
    "tanh": Activation("Tanh", Value.tanh, lambda np, x: np.tanh(x), math.tanh),
    "sigmoid": Activation(
        # By way of tanh, which does not overflow.
        "Sigmoid",
        Value.sigmoid,
        lambda np, x: 0.5 * (1.0 + np.tanh(0.5 * x)),
        formulas.sigmoid,
    ),
    "softplus": Activation(
        "Softplus", Value.softplus, lambda np, x: np.logaddexp(0.0, x), formulas.softplus
    ),
    "gelu": Activation("Gelu", Value.gelu, gelu, lambda x: x * formulas.normal_cdf(x)),
    "sin": Activation("Sin", Value.sin, lambda np, x: np.sin(x), formulas.sin),
}


def activation(name: str) -> Activation:
    """The activation of this name; ValueError, naming those that exist, where there is none."""
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
