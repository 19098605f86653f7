"""The learning-rate schedules: one class each, with its fields and its formula.

To add one, write a class here; it is registered under its `kind`. Both executors take their rates
from `rates`, so they take exactly the same steps. Products are formed left to right,
(end - start)·k/steps and not (end - start)·(k/steps), which rounds differently.
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union, get_args

from pydantic import Field, model_validator

from engine.spec.base import MAX_STEPS, Model, at

if TYPE_CHECKING:
    from engine.arrays import Array

Rate = Annotated[float, Field(gt=0, le=1e6)]

SCHEDULES: dict[str, type[Schedule]] = {}
"""Every schedule by its kind."""


class Schedule(Model):
    """The learning rate as a function of the step.

    Attributes:
        VECTORISED: whether `rate` takes an array of steps as well. Only arithmetic qualifies,
            which IEEE 754 rounds the same in both forms; powers and cosines may differ.
    """

    VECTORISED: ClassVar[bool] = False

    kind: str

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        SCHEDULES[get_args(cls.model_fields["kind"].annotation)[0]] = cls

    def rate(self, step: Any, steps: int) -> Any:
        """The learning rate of step k = 0 … steps-1 of a training of `steps` steps."""
        raise NotImplementedError

    def problem(self, steps: int) -> tuple[str, str] | None:
        """The field that does not fit a training of `steps` steps, and a sentence about it."""
        return None


class ConstantRate(Schedule):
    VECTORISED: ClassVar[bool] = True

    kind: Literal["constant"]
    value: Rate

    def rate(self, step: Any, steps: int) -> Any:
        return self.value + 0.0 * step


class LinearRate(Schedule):
    """start + (end - start)·k/steps at step k."""

    VECTORISED: ClassVar[bool] = True

    kind: Literal["linear"]
    start: Rate
    end: float = Field(ge=0, le=1e6)

    def rate(self, step: Any, steps: int) -> Any:
        return self.start + (self.end - self.start) * step / steps


class StepRate(Schedule):
    """start·factor^⌊k/every⌋ at step k."""

    kind: Literal["step"]
    start: Rate
    factor: float = Field(gt=0, le=1)
    every: int = Field(ge=1, le=MAX_STEPS)

    def rate(self, step: int, steps: int) -> float:
        return float(self.start * self.factor ** (step // self.every))


class ExponentialRate(Schedule):
    """start·factor^k at step k."""

    kind: Literal["exponential"]
    start: Rate
    factor: float = Field(gt=0, le=1)

    def rate(self, step: int, steps: int) -> float:
        return float(self.start * self.factor**step)


class CosineRate(Schedule):
    """end + (start - end)·(1 + cos(π·k/steps))/2 at step k (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"]
    start: Rate
    end: float = Field(default=0.0, ge=0, le=1e6)

    def rate(self, step: int, steps: int) -> float:
        return self.end + (self.start - self.end) * (1.0 + math.cos(math.pi * step / steps)) / 2.0


class WarmupRate(Schedule):
    """r·(k + 1)/steps in the first `steps` steps, where r is the first rate of `then`.

    After them `then` runs over the rest of the training.
    """

    kind: Literal["warmup"]
    steps: int = Field(ge=1, le=MAX_STEPS)
    then: LearningRate

    @model_validator(mode="before")
    @classmethod
    def number_is_a_constant_rate(cls, data: object) -> object:
        return constant_rate(data, "then")

    @model_validator(mode="after")
    def no_warmup_after_a_warmup(self) -> WarmupRate:
        if self.then.kind == self.kind:
            raise at(("then",), "a warm-up cannot follow a warm-up; choose another kind")
        return self

    def problem(self, steps: int) -> tuple[str, str] | None:
        if self.steps < steps:
            return None
        return "steps", f"a warm-up of {self.steps} steps leaves nothing of {steps}"

    def rate(self, step: int, steps: int) -> float:
        rest = steps - self.steps
        if step < self.steps:
            return float(self.then.rate(0, rest) * (step + 1) / self.steps)
        return float(self.then.rate(step - self.steps, rest))


if TYPE_CHECKING:
    LearningRate = Schedule
else:
    LearningRate = Annotated[Union[tuple(SCHEDULES.values())], Field(discriminator="kind")]  # noqa: UP007
    WarmupRate.model_rebuild()


def constant_rate(data: object, field: str) -> object:
    """`data` with a bare number in `field` written out as a constant learning rate."""
    if not isinstance(data, dict) or isinstance(data.get(field, {}), (dict, Model)):
        return data
    rate = data[field]
    if not isinstance(rate, (int, float)) or isinstance(rate, bool):
        raise at((field,), "a learning rate is a number, or an object with the kind of a schedule")
    if not 0 < rate <= 1e6:
        raise at((field,), "a learning rate is above 0 and at most 1,000,000")
    return data | {field: {"kind": "constant", "value": rate}}


def rates(schedule: Schedule, steps: int, first: int, last: int) -> Array:
    """The learning rates of steps first … last-1 as float64, bit for bit those of `rate`."""
    import numpy as np  # here, because checking a specification needs no NumPy

    if schedule.VECTORISED:
        return np.asarray(schedule.rate(np.arange(first, last, dtype=np.float64), steps))
    numbers = map(schedule.rate, range(first, last), repeat(steps))
    return np.fromiter(numbers, np.float64, last - first)
