"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from engine.autograd.coercion import described
from engine.autograd.formulas import add_up
from engine.autograd.value import Value

SMALLEST_NORMAL = 2.0**-1022
FAR_SMALLER = 2.0**-100


def norm(gradient: Sequence[float]) -> float:
    """The Euclidean length.

    Squares overflow from 1e154 on and vanish below 1e-154. Where they do, and nowhere else, the
    gradient is divided by its largest number first.
    """
    squares = add_up(g * g for g in gradient)
    if squares == math.inf or squares < SMALLEST_NORMAL:
        unit = max((abs(g) for g in gradient), default=0.0)
        if 0.0 < unit < math.inf:
            return unit * math.sqrt(add_up((g / unit) * (g / unit) for g in gradient))
    return math.sqrt(squares)


class SGD:
    """Stochastic gradient descent with momentum, as `torch.optim.SGD` without dampening.

        velocity ← momentum·velocity + gradient
        p ← p - rate·velocity                       or, with Nesterov,
        p ← p - rate·(gradient + momentum·velocity)

    Without momentum p ← p - rate·gradient. A gradient longer than `clip_norm` is scaled down
    to that length first, in place, as `torch.nn.utils.clip_grad_norm_` does.
    """

    def __init__(
        self,
        parameters: Iterable[Value],
        momentum: float = 0.0,
        nesterov: bool = False,
        clip_norm: float | None = None,
    ) -> None:
        self.parameters = parameters_of(parameters)
        self.momentum = momentum
        self.nesterov = nesterov
        self.clip_norm = clip_norm
        self.velocity = [0.0] * len(self.parameters) if momentum else None

    def gradient_norm(self) -> float:
        return norm([p._grad for p in self.parameters])

    def step(self, rate: float) -> None:
        """Updates every parameter from its gradient."""
        if self.clip_norm is not None:
            self._clip(self.clip_norm)
        if self.velocity is None:
            for p in self.parameters:
                p._data -= rate * p._grad
            return
        momentum = self.momentum
        for i, p in enumerate(self.parameters):
            velocity = momentum * self.velocity[i] + p._grad
            self.velocity[i] = velocity
            p._data -= rate * (p._grad + momentum * velocity if self.nesterov else velocity)

    def _clip(self, longest: float) -> None:
        length = self.gradient_norm()
        if length == math.inf and all(math.isfinite(p._grad) for p in self.parameters):
            # Each number is finite, only the length is not.
            self._scale(FAR_SMALLER)
            length = self.gradient_norm()
        scale = longest / (length + 1e-6)
        if scale < 1.0:
            self._scale(scale)

    def _scale(self, factor: float) -> None:
        for p in self.parameters:
            p._grad *= factor


def parameters_of(parameters: Iterable[Value]) -> list[Value]:
    """As a list: each step reads them again, which an iterator allows only once."""
    if not isinstance(parameters, Iterable):
        raise TypeError(
            f"SGD needs a list of parameters, not {described(parameters)}; "
            "a model's are model.parameters()"
        )
    found = list(parameters)
    if not found:
        raise ValueError("SGD needs at least one parameter; was this iterator read before?")
    for i, p in enumerate(found):
        if not isinstance(p, Value):
            raise TypeError(f"a parameter must be a Value, but number {i} is {described(p)}")
    return found
