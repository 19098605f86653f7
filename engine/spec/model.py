"""The network of a job: its layers, and how its parameters start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from engine.networks.activations import ACTIVATIONS
from engine.spec.base import Model, Seed

MAX_LAYERS = 32
MAX_UNITS = 4_096

if TYPE_CHECKING:
    Activation = str
else:
    Activation = Literal[tuple(ACTIVATIONS)]


class LayerSpec(Model):
    units: int = Field(ge=1, le=MAX_UNITS)
    activation: Activation = "linear"


class InitSpec(Model):
    """How weights start: uniform, drawn by `random.Random(seed)`, neuron by neuron in layer order.

    The range is [-1, 1] for `uniform`, ±√(6/(inputs + units)) for `xavier`, ±√(6/inputs) for
    `he`. `bias: uniform` draws each neuron's bias after its weights from the same range;
    otherwise biases are 0.
    """

    kind: Literal["uniform", "xavier", "he"] = "uniform"
    bias: Literal["zeros", "uniform"] = "zeros"
    seed: Seed = 0


class ModelSpec(Model):
    layers: list[LayerSpec] = Field(min_length=1, max_length=MAX_LAYERS)
    init: InitSpec = InitSpec()
