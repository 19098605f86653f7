"""The network of a job: its layers, and how its parameters start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from engine.networks.activations import ACTIVATIONS
from engine.spec.base import Model, Seed, at

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


class GivenLayer(Model):
    """The parameters of one layer: `weights` are units × inputs, `biases` one per unit."""

    weights: list[list[float]]
    biases: list[float]
    activation: str | None = None


class GivenInit(Model):
    """Parameters to start from, layer by layer as the service returns those of a job."""

    kind: Literal["given"]
    layers: list[GivenLayer]

    def numbers(self) -> Iterator[float]:
        """Neuron by neuron in layer order, the weights of each before its bias."""
        for layer in self.layers:
            for weights, bias in zip(layer.weights, layer.biases, strict=True):
                yield from weights
                yield bias

    def check(self, layers: Sequence[LayerSpec], inputs: int) -> None:
        """Raises an error with its place where the parameters do not fit the network."""
        if len(self.layers) != len(layers):
            raise at(
                ("model", "init", "layers"),
                f"holds {len(self.layers)} layers, but the model has {len(layers)}",
            )
        for i, (given, layer) in enumerate(zip(self.layers, layers, strict=True)):
            place = ("model", "init", "layers", i)
            if len(given.weights) != layer.units:
                found = f"holds {len(given.weights)} rows, but layer {i} has {layer.units} units"
                raise at((*place, "weights"), f"{found}: one row per unit")
            for row, weights in enumerate(given.weights):
                if len(weights) != inputs:
                    found = f"holds {len(weights)} numbers, but layer {i} has {inputs} inputs"
                    raise at((*place, "weights", row), f"{found}: one number per input")
            if len(given.biases) != layer.units:
                found = f"holds {len(given.biases)} numbers, but layer {i} has {layer.units} units"
                raise at((*place, "biases"), f"{found}: one number per unit")
            if given.activation not in (None, layer.activation):
                raise at(
                    (*place, "activation"),
                    f"is {given.activation}, but that of layer {i} of the model is "
                    f"{layer.activation}; make them equal, or leave this one out",
                )
            inputs = layer.units


def way_to_start(init: Any) -> str:
    """Whether parameters are given or drawn; a kind may be missing, as drawing is the default."""
    kind = init.get("kind") if isinstance(init, Mapping) else getattr(init, "kind", None)
    return "given" if kind == "given" else "drawn"


if TYPE_CHECKING:
    Init = InitSpec | GivenInit
else:
    Init = Annotated[
        Annotated[InitSpec, Tag("drawn")] | Annotated[GivenInit, Tag("given")],
        Discriminator(way_to_start),
    ]


class ModelSpec(Model):
    layers: list[LayerSpec] = Field(min_length=1, max_length=MAX_LAYERS)
    init: Init = InitSpec()
