"""The optimizer of a job."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from engine.spec.base import Model, at
from engine.spec.schedules import LearningRate, constant_rate


class OptimizerSpec(Model):
    """Stochastic gradient descent as PyTorch has it.

    `clip_norm` scales the gradient down to this norm when it is longer.
    """

    kind: Literal["sgd"] = "sgd"
    learning_rate: LearningRate
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    clip_norm: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def number_is_a_constant_rate(cls, data: object) -> object:
        return constant_rate(data, "learning_rate")

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0.0:
            raise at(("nesterov",), "nesterov needs a momentum above 0")
        return self
