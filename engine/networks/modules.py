"""Neurons, layers and multi-layer perceptrons made of Values.

The constructors follow micrograd: weights come from the global `random`, uniform in [-1, 1],
neuron by neuron in layer order, biases are 0, hidden layers are relu and the last is linear.
`build` makes the network of a specification from a generator of its own instead.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from engine.autograd.value import Value

if TYPE_CHECKING:
    from engine.spec import InitSpec, ModelSpec

Draw = Callable[[], float]
Input = Value | float

ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "linear": lambda x: x,
    "relu": Value.relu,
    "leaky_relu": Value.leaky_relu,
    "tanh": Value.tanh,
    "sigmoid": Value.sigmoid,
    "softplus": Value.softplus,
    "gelu": Value.gelu,
    "sin": Value.sin,
}
REPR_NAMES = {"relu": "ReLU"}


def unit_uniform() -> float:
    """A weight as micrograd draws it: from the global generator, uniform in [-1, 1]."""
    return random.uniform(-1.0, 1.0)


def zero() -> float:
    return 0.0


class Module:
    """Something with parameters."""

    def parameters(self) -> list[Value]:
        """All trainable values, neuron by neuron in layer order, weights then bias."""
        return []

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = 0.0


class Neuron(Module):
    """activation(b + w₀x₀ + w₁x₁ + …), summed in this order."""

    def __init__(
        self,
        nin: int,
        nonlin: bool = True,
        *,
        activation: str = "relu",
        draw: Draw = unit_uniform,
        draw_bias: Draw = zero,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"no activation {activation!r}; there are {', '.join(ACTIVATIONS)}")
        self.w = [Value(draw()) for _ in range(nin)]
        self.b = Value(draw_bias())
        self.activation = activation if nonlin else "linear"

    def __call__(self, x: Sequence[Input]) -> Value:
        if len(x) != len(self.w):
            raise ValueError(f"a neuron with {len(self.w)} inputs was called with {len(x)}")
        total = self.b
        for wi, xi in zip(self.w, x, strict=True):
            total = total + wi * xi
        return ACTIVATIONS[self.activation](total)

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        name = REPR_NAMES.get(self.activation, self.activation.title().replace("_", ""))
        return f"{name}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that share their inputs. A layer of one neuron answers with its bare Value."""

    def __init__(
        self,
        nin: int,
        nout: int,
        nonlin: bool = True,
        *,
        activation: str = "relu",
        draw: Draw = unit_uniform,
        draw_bias: Draw = zero,
    ) -> None:
        if nout < 1:
            raise ValueError(f"a layer needs at least one neuron, not {nout}")
        self.neurons = [
            Neuron(nin, nonlin, activation=activation, draw=draw, draw_bias=draw_bias)
            for _ in range(nout)
        ]

    def outputs(self, x: Sequence[Input]) -> list[Value]:
        return [neuron(x) for neuron in self.neurons]

    def __call__(self, x: Sequence[Input]) -> Value | list[Value]:
        out = self.outputs(x)
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(neuron) for neuron in self.neurons)}]"


class MLP(Module):
    """Layers one after the other; `nouts` are the units of each."""

    def __init__(self, nin: int, nouts: Sequence[int]) -> None:
        sizes = [nin, *nouts]
        self._stack(
            Layer(sizes[i], sizes[i + 1], nonlin=i != len(nouts) - 1) for i in range(len(nouts))
        )

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> MLP:
        """A network of layers that exist already."""
        model = cls.__new__(cls)
        model._stack(layers)
        return model

    def _stack(self, layers: Iterable[Layer]) -> None:
        self.layers = list(layers)
        if not self.layers:
            raise ValueError("a network needs at least one layer")

    def outputs(self, x: Sequence[Input]) -> list[Value]:
        """The last layer's values, as a list also when there is only one."""
        out: Sequence[Input] = x
        for layer in self.layers:
            values = layer.outputs(out)
            out = values
        return values

    def __call__(self, x: Sequence[Input]) -> Value | list[Value]:
        out = self.outputs(x)
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def build(spec: ModelSpec, inputs: int) -> MLP:
    """The network of a specification, initialised with its own generator and seed."""
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
    """The half width of the uniform distribution that a layer's weights come from.

    `xavier` is Glorot and Bengio (2010), eq. 16; `he` is He et al. (2015), eq. 10, as a
    uniform distribution of the same variance.
    """
    if init.kind == "xavier":
        return math.sqrt(6.0 / (nin + nout))
    if init.kind == "he":
        return math.sqrt(6.0 / nin)
    return 1.0
