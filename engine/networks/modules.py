"""Neurons, layers and multi-layer perceptrons made of Values.

The constructors follow micrograd: weights come from the global `random`, uniform in [-1, 1],
neuron by neuron in layer order, biases are 0, hidden layers are relu and the last is linear.
`engine.training.initialise.build` makes the network of a specification instead, from a
generator of its own.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterable, Sequence

from engine.autograd.coercion import described, is_number
from engine.autograd.value import Value
from engine.networks.activations import ACTIVATIONS
from engine.networks.activations import activation as activation_of

Draw = Callable[[], float]
Input = Value | float


def unit_uniform() -> float:
    """A weight as micrograd draws it: from the global generator, uniform in [-1, 1]."""
    return random.uniform(-1.0, 1.0)


def zero() -> float:
    return 0.0


def size(count: int, what: str) -> int:
    """A number of inputs or neurons; any whole number from 1, NumPy's too."""
    try:
        found = operator.index(count)
    except TypeError:
        raise TypeError(f"the number of {what} must be an int, not {described(count)}") from None
    if found < 1:
        one = "one input" if what == "inputs" else "one neuron"
        raise ValueError(f"a layer needs at least {one}, not {found}")
    return found


def row(inputs: Iterable[Input], count: int) -> Sequence[Input]:
    """The inputs of one example, read once: as many numbers or Values as there are weights."""
    if type(inputs) is list or type(inputs) is tuple:
        found: Sequence[Input] = inputs
    else:
        try:
            found = list(inputs)
        except TypeError:
            raise TypeError(
                f"the inputs must be a sequence of numbers or Values, not {described(inputs)}"
            ) from None
    if len(found) != count:
        raise ValueError(f"a neuron with {count} inputs was called with {len(found)}")
    for i, x in enumerate(found):
        if type(x) is not Value and type(x) is not float and not is_input(x):
            raise TypeError(
                f"input {i} must be a number or a Value, not {described(x)}; "
                "a network is called with one row of inputs at a time"
            )
    return found


def is_input(x: object) -> bool:
    return isinstance(x, Value) or is_number(x)


class Module:
    """Something with parameters."""

    def parameters(self) -> list[Value]:
        """All trainable values, neuron by neuron in layer order, weights then bias."""
        return []

    def zero_grad(self) -> None:
        for p in self.parameters():
            p._grad = 0.0


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
        activation_of(activation)
        self.w = [Value(draw()) for _ in range(size(nin, "inputs"))]
        self.b = Value(draw_bias())
        self.activation = activation if nonlin else "linear"

    def __call__(self, x: Iterable[Input]) -> Value:
        return self.output(row(x, len(self.w)))

    def output(self, x: Sequence[Input]) -> Value:
        """The neuron's Value for inputs that were checked."""
        total = self.b
        for wi, xi in zip(self.w, x, strict=True):
            total = total + wi * xi
        return ACTIVATIONS[self.activation].scalar(total)

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{activation_of(self.activation).shown}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that share their inputs. A layer of one neuron returns its bare Value."""

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
        self.neurons = [
            Neuron(nin, nonlin, activation=activation, draw=draw, draw_bias=draw_bias)
            for _ in range(size(nout, "neurons"))
        ]

    def outputs(self, x: Iterable[Input]) -> list[Value]:
        """One Value per neuron, as a list also when there is only one."""
        inputs = row(x, len(self.neurons[0].w))
        return [neuron.output(inputs) for neuron in self.neurons]

    def __call__(self, x: Iterable[Input]) -> Value | list[Value]:
        out = self.outputs(x)
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(neuron) for neuron in self.neurons)}]"


class MLP(Module):
    """Layers one after the other; `nouts` are the numbers of neurons in each."""

    def __init__(self, nin: int, nouts: Iterable[int]) -> None:
        if not isinstance(nouts, Iterable):
            raise TypeError(f"nouts must be a list of layer sizes, not {described(nouts)}")
        # All sizes are checked before the first weight is drawn.
        sizes = [size(nin, "inputs"), *(size(nout, "neurons") for nout in nouts)]
        last = len(sizes) - 2
        self._stack(Layer(sizes[i], sizes[i + 1], nonlin=i != last) for i in range(last + 1))

    @classmethod
    def of(cls, layers: Iterable[Layer]) -> MLP:
        """A network of layers that exist already."""
        model = cls.__new__(cls)
        model._stack(layers)
        return model

    def _stack(self, layers: Iterable[Layer]) -> None:
        self.layers = list(layers)
        if not self.layers:
            raise ValueError("a network needs at least one layer")

    def outputs(self, x: Iterable[Input]) -> list[Value]:
        """The last layer's values, as a list also when there is only one."""
        values = self.layers[0].outputs(x)
        for layer in self.layers[1:]:
            values = layer.outputs(values)
        return values

    def __call__(self, x: Iterable[Input]) -> Value | list[Value]:
        out = self.outputs(x)
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"
