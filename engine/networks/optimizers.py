"""Learning-rate schedules and stochastic gradient descent.

Every formula of a schedule stands here once, for both executors: they must take exactly the
same steps. Products are formed left to right, (end - start)·k/steps and not
(end - start)·(k/steps), which rounds differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.autograd.formulas import add_up
from engine.autograd.value import Value

if TYPE_CHECKING:
    from engine.arrays import Array
    from engine.spec import LearningRate, OptimizerSpec

Schedule = Callable[[int], float]


def schedule(rate: LearningRate, steps: int) -> Schedule:
    """The learning rate of each step k = 0 … steps-1."""
    match rate.kind:
        case "constant":
            value = rate.value
            return lambda k: value
        case "linear":
            start, end = rate.start, rate.end
            return lambda k: start + (end - start) * k / steps
        case "step":
            start, factor, every = rate.start, rate.factor, rate.every
            return lambda k: start * factor ** (k // every)
        case "exponential":
            start, factor = rate.start, rate.factor
            return lambda k: start * factor**k
        case "cosine":
            start, end = rate.start, rate.end
            return lambda k: end + (start - end) * (1.0 + math.cos(math.pi * k / steps)) / 2.0
        case "warmup":
            length = rate.steps
            after = schedule(rate.then, steps - length)
            peak = after(0)
            return lambda k: peak * (k + 1) / length if k < length else after(k - length)


def rates(rate: LearningRate, steps: int, first: int, last: int) -> Array:
    """The learning rates of steps first … last-1 as float64, the same bits as `schedule`.

    Constant and linear schedules are computed as arrays: the same operations in the same
    order, which IEEE 754 rounds the same.
    """
    if rate.kind == "constant":
        return np.full(last - first, rate.value)
    if rate.kind == "linear":
        k = np.arange(first, last, dtype=np.float64)
        return rate.start + (rate.end - rate.start) * k / steps
    return np.fromiter(map(schedule(rate, steps), range(first, last)), np.float64, last - first)


def norm(gradient: Sequence[float]) -> float:
    """The Euclidean length."""
    return math.sqrt(add_up(g * g for g in gradient))


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
        parameters: Sequence[Value],
        momentum: float = 0.0,
        nesterov: bool = False,
        clip_norm: float | None = None,
    ) -> None:
        self.parameters = parameters
        self.momentum = momentum
        self.nesterov = nesterov
        self.clip_norm = clip_norm
        self.velocity = [0.0] * len(parameters) if momentum else None

    @classmethod
    def of(cls, spec: OptimizerSpec, parameters: Sequence[Value]) -> SGD:
        return cls(parameters, spec.momentum, spec.nesterov, spec.clip_norm)

    def gradient_norm(self) -> float:
        return norm([p.grad for p in self.parameters])

    def step(self, rate: float) -> None:
        """Updates every parameter from its gradient."""
        if self.clip_norm is not None:
            self._clip(self.clip_norm)
        if self.velocity is None:
            for p in self.parameters:
                p.data -= rate * p.grad
            return
        momentum = self.momentum
        for i, p in enumerate(self.parameters):
            velocity = momentum * self.velocity[i] + p.grad
            self.velocity[i] = velocity
            p.data -= rate * (p.grad + momentum * velocity if self.nesterov else velocity)

    def _clip(self, longest: float) -> None:
        scale = longest / (self.gradient_norm() + 1e-6)
        if scale < 1.0:
            for p in self.parameters:
                p.grad *= scale
