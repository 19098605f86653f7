"""The network and the optimizer that a training starts with, made from its specification."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from engine.autograd.value import Value
from engine.networks.modules import MLP, Layer, zero
from engine.networks.optimizers import SGD
from engine.spec import InitSpec, ModelSpec, OptimizerSpec


def build(spec: ModelSpec, inputs: int) -> MLP:
    """The network of a specification, initialised by a generator of its own from its seed."""
    rng = random.Random(spec.init.seed)
    layers = []
    nin = inputs
    for layer in spec.layers:
        limit = weight_limit(spec.init, nin, layer.units)

        def draw(limit: float = limit) -> float:
            return rng.uniform(-limit, limit)

        layers.append(
            Layer(
                nin,
                layer.units,
                activation=layer.activation,
                draw=draw,
                draw_bias=draw if spec.init.bias == "uniform" else zero,
            )
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
