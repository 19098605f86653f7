"""Learning-rate schedules and stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.value import Value

if TYPE_CHECKING:
    from engine.spec import LearningRate

Schedule = Callable[[int], float]


def schedule(rate: LearningRate, steps: int) -> Schedule:
    """The learning rate of each step 0 … steps-1.

    Computed left to right: (end - start)·k/steps and (end - start)·(k/steps) round
    differently, and both executors must take exactly the same steps.
    """
    if rate.kind == "constant":
        value = rate.value
        return lambda k: value
    start, end = rate.start, rate.end
    return lambda k: start + (end - start) * k / steps


class SGD:
    """p ← p - rate·gradient for each parameter."""

    def __init__(self, parameters: Sequence[Value]) -> None:
        self.parameters = parameters

    def step(self, rate: float) -> None:
        for p in self.parameters:
            p.data -= rate * p.grad
