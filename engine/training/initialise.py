"""The network and the optimizer that a training starts with, made from its specification."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from engine.autograd.value import Value
from engine.networks.modules import MLP, Layer, zero
from engine.networks.optimizers import SGD
from engine.spec import GivenInit, InitSpec, ModelSpec, OptimizerSpec


def build(spec: ModelSpec, inputs: int) -> MLP:
    """The network of a specification: with the given parameters, or with those that a generator
    of its own draws from its seed."""
    if isinstance(spec.init, GivenInit):
        return given(spec, spec.init, inputs)
    init = spec.init
    rng = random.Random(init.seed)
    layers = []
    nin = inputs
    for layer in spec.layers:
        limit = weight_limit(init, nin, layer.units)

        def draw(limit: float = limit) -> float:
            return rng.uniform(-limit, limit)

        layers.append(
            Layer(
                nin,
                layer.units,
                activation=layer.activation,
                draw=draw,
                draw_bias=draw if init.bias == "uniform" else zero,
            )
        )
        nin = layer.units
    return MLP.of(layers)


def given(spec: ModelSpec, init: GivenInit, inputs: int) -> MLP:
    """The network with exactly the given parameters."""
    # A neuron draws its weights and then its bias, which is the order of the numbers.
    draw = init.numbers().__next__
    layers = []
    nin = inputs
    for layer in spec.layers:
        layers.append(
            Layer(nin, layer.units, activation=layer.activation, draw=draw, draw_bias=draw)
        )
        nin = layer.units
    return MLP.of(layers)


def weight_limit(init: InitSpec, nin: int, nout: int) -> float:
    """Half the width of the uniform distribution from which a layer's weights are drawn.

    `xavier` is Glorot and Bengio (2010), eq. 16; `he` is He et al. (2015), eq. 10, as a
    uniform distribution of the same variance.
    """
    if init.kind == "xavier":
        return math.sqrt(6.0 / (nin + nout))
    if init.kind == "he":
        return math.sqrt(6.0 / nin)
    return 1.0


def optimizer(spec: OptimizerSpec, parameters: Iterable[Value]) -> SGD:
    """The optimizer of a specification; each step is given its learning rate."""
    return SGD(parameters, spec.momentum, spec.nesterov, spec.clip_norm)
