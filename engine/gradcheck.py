"""Finite differences against `backward()`.

The derivative of f at x is compared with (f(x + h) - f(x - h)) / 2h, with h = 6·10⁻⁶·max(1, |x|):
near the cube root of the machine's precision truncation and rounding are about equal. A right
gradient agrees to 10⁻⁷ or better; where f has a kink within h of x, nothing can be said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.nn import MLP, Module
from engine.value import Value

STEP = 6e-6
FLOOR = 1e-3
"""Gradients below FLOOR·max(1, |f|) are compared absolutely: rounding hides their digits."""


@dataclass(frozen=True, slots=True)
class Check:
    """The worst disagreement, and where it is.

    Attributes:
        error: |exact - numeric| / max(|exact|, |numeric|, FLOOR·max(1, |f|)).
        place: the input or parameter with this error.
        exact: its derivative by `backward()`.
        numeric: its derivative by finite differences.
        count: how many derivatives were compared.
    """

    error: float
    place: str
    exact: float
    numeric: float
    count: int

    def __bool__(self) -> bool:
        """Whether all agree to 10⁻⁶."""
        return self.error < 1e-6

    def __str__(self) -> str:
        return (
            f"worst relative error {self.error:.1e} of {self.count} at {self.place}: "
            f"exact {self.exact!r}, numeric {self.numeric!r}"
        )


class Differentiable(Protocol):
    """A loss with a gradient of its own, over a flat list of parameters: a native program."""

    def loss(self, parameters: Sequence[float]) -> float: ...

    def gradient(self, parameters: Sequence[float]) -> Sequence[float]: ...


def gradcheck(function: Callable[..., Value], *inputs: float) -> Check:
    """Checks a function of Values at the point `inputs`."""
    leaves = [Value(x) for x in inputs]
    function(*leaves).backward()
    return compare(
        lambda point: function(*map(Value, point)).data,
        list(inputs),
        [leaf.grad for leaf in leaves],
        [f"input {i}" for i in range(len(inputs))],
    )


def check_model(model: Module, loss: Callable[[], Value]) -> Check:
    """Checks a model's parameters in `loss`, a function that calls the model.

    Leaves the parameters as they were and their gradients at those of the loss.
    """
    parameters = model.parameters()
    start = [p.data for p in parameters]

    def at(point: Sequence[float]) -> float:
        for p, number in zip(parameters, point, strict=True):
            p.data = number
        return loss().data

    model.zero_grad()
    loss().backward()
    try:
        return compare(at, start, [p.grad for p in parameters], parameter_names(model))
    finally:
        for p, number in zip(parameters, start, strict=True):
            p.data = number


def check_program(program: Differentiable, parameters: Sequence[float]) -> Check:
    """Checks anything that computes a loss and its gradient, at the given parameters."""
    point = [float(p) for p in parameters]
    exact = [float(g) for g in program.gradient(point)]
    return compare(program.loss, point, exact, [f"parameter {i}" for i in range(len(point))])


def compare(
    function: Callable[[Sequence[float]], float],
    point: Sequence[float],
    exact: Sequence[float],
    names: Sequence[str],
) -> Check:
    """Checks the gradient `exact` of a function of numbers; the other checks end here."""
    floor = FLOOR * max(1.0, abs(function(point)))
    worst = Check(0.0, "nowhere", 0.0, 0.0, len(point))
    for i, name in enumerate(names):
        numeric = central_difference(function, point, i)
        error = abs(exact[i] - numeric) / max(abs(exact[i]), abs(numeric), floor)
        # Written so that a NaN counts as the worst.
        if not error <= worst.error:
            worst = Check(error, name, exact[i], numeric, len(point))
    return worst


def central_difference(
    function: Callable[[Sequence[float]], float], point: Sequence[float], i: int
) -> float:
    """d(function)/d(point[i])."""
    h = STEP * max(1.0, abs(point[i]))
    above, below = list(point), list(point)
    above[i] += h
    below[i] -= h
    # Not 2h: the two points lie where rounding has put them.
    return (function(above) - function(below)) / (above[i] - below[i])


def parameter_names(model: Module) -> list[str]:
    """Where each parameter is, as one would write it to get it."""
    if not isinstance(model, MLP):
        return [f"parameters()[{i}]" for i in range(len(model.parameters()))]
    return [
        f"layers[{i}].neurons[{j}].{name}"
        for i, layer in enumerate(model.layers)
        for j, neuron in enumerate(layer.neurons)
        for name in [*(f"w[{k}]" for k in range(len(neuron.w))), "b"]
    ]
