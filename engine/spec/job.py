"""Everything a training job may ask for, as pydantic models.

The one definition: the API validates requests with it, the worker and `engine.train` run it,
the client checks files with it before they are sent. Defaults that depend on other fields are
filled in by validation, so `JobSpec.model_dump()` is the normalised specification.
`engine.spec.datasets` holds the data sets, `engine.spec.base` what all models share.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from engine.spec.base import Model, Seed, at, problems
from engine.spec.datasets import Dataset
from engine.spec.target_checks import check_targets

__all__ = ["JobSpec", "problems"]

MAX_LAYERS = 32
MAX_UNITS = 4_096
MAX_PARAMETERS = 2_000_000
MAX_STEPS = 100_000_000
MAX_LOGGED_STEPS = 1_000_000
DEFAULT_LOGGED_STEPS = 10_000
DEFAULT_CHECKPOINTS = 50

Activation = Literal["linear", "relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "sin"]
# Defaults that depend on other fields: the JSON schema has none for them.
Filled = Annotated[int, Field(ge=1, json_schema_extra=lambda schema: schema.pop("default", None))]
# As above.
Keep = Annotated[
    Literal["last", "best"], Field(json_schema_extra=lambda schema: schema.pop("default", None))
]
Rate = Annotated[float, Field(gt=0, le=1e6)]
Strength = Annotated[float, Field(ge=0, le=1e6)]


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


class ModelSpec(Model):
    layers: list[LayerSpec] = Field(min_length=1, max_length=MAX_LAYERS)
    init: InitSpec = InitSpec()


class LossSpec(Model):
    """The data loss over a batch, plus `l2`·Σp² and `l1`·Σ|p| over all parameters.

    `delta` is where the huber loss turns from a parabola into a line; no other loss has it.
    """

    kind: Literal["mse", "mae", "huber", "max_margin", "binary_cross_entropy", "cross_entropy"]
    reduction: Literal["mean", "sum"] = "mean"
    l1: Strength = 0.0
    l2: Strength = 0.0
    delta: float | None = Field(default=None, gt=0, le=1e6)

    @model_validator(mode="after")
    def delta_belongs_to_huber(self) -> Self:
        if self.kind == "huber":
            if self.delta is None:
                object.__setattr__(self, "delta", 1.0)
        elif self.delta is not None:
            raise at(("delta",), f"only the huber loss has a delta, {self.kind} has none")
        return self


class ConstantRate(Model):
    kind: Literal["constant"]
    value: Rate


class LinearRate(Model):
    """start + (end - start)·k/steps at step k."""

    kind: Literal["linear"]
    start: Rate
    end: float = Field(ge=0, le=1e6)


class StepRate(Model):
    """start·factor^⌊k/every⌋ at step k."""

    kind: Literal["step"]
    start: Rate
    factor: float = Field(gt=0, le=1)
    every: int = Field(ge=1, le=MAX_STEPS)


class ExponentialRate(Model):
    """start·factor^k at step k."""

    kind: Literal["exponential"]
    start: Rate
    factor: float = Field(gt=0, le=1)


class CosineRate(Model):
    """end + (start - end)·(1 + cos(π·k/steps))/2 at step k (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"]
    start: Rate
    end: float = Field(default=0.0, ge=0, le=1e6)


class WarmupRate(Model):
    """r·(k + 1)/steps in the first `steps` steps, r being the first rate of `then`.

    After them `then` runs over what is left of the training.
    """

    kind: Literal["warmup"]
    steps: int = Field(ge=1, le=MAX_STEPS)
    then: Annotated[
        ConstantRate | LinearRate | StepRate | ExponentialRate | CosineRate,
        Field(discriminator="kind"),
    ]

    @model_validator(mode="before")
    @classmethod
    def number_is_a_constant_rate(cls, data: object) -> object:
        return constant_rate(data, "then")


LearningRate = Annotated[
    ConstantRate | LinearRate | StepRate | ExponentialRate | CosineRate | WarmupRate,
    Field(discriminator="kind"),
]


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


class EarlyStoppingSpec(Model):
    """Ends training when the validation loss no longer falls.

    It is looked at in every logged step. After `patience` logged steps in a row that were not
    below the best by more than `min_delta`, training has succeeded early. `restore_best` delivers
    the parameters of the best logged step, as scikit-learn and Keras users expect; false delivers
    the last ones. It is short for `keep` of the training.
    """

    patience: int = Field(ge=1, le=MAX_LOGGED_STEPS)
    min_delta: float = Field(default=0.0, ge=0)
    restore_best: bool = True


class TrainingSpec(Model):
    """How long to train, on which rows, and what to write down.

    `batch_size: null`, or one no smaller than the training rows, takes all of them in every
    step, in order. Otherwise each epoch shuffles them, as a function of `seed` and the epoch,
    and its last batch may be smaller.
    `validation_fraction` of the rows, at least one, is drawn with `seed` and kept for
    validation, in classification the same share of every class. `zero_grad: false` lets
    gradients add up from step to step, the classic mistake.

    `log_every` defaults to 1 up to 10,000 steps and to steps/10,000 beyond; the first and the
    last step are always logged. `checkpoint_every` defaults to steps/50.

    `keep` says which parameters the job delivers: those after the last update, or those of the
    best logged step, the one with the lowest validation loss (training loss without a validation
    set). The default is `best` with early stopping and `last` without it.
    """

    steps: int = Field(ge=1, le=MAX_STEPS)
    batch_size: int | None = Field(default=None, ge=1)
    seed: Seed = 0
    zero_grad: bool = True
    validation_fraction: float = Field(default=0.0, ge=0, lt=1)
    early_stopping: EarlyStoppingSpec | None = None
    keep: Keep = "last"  # until `fill_keep`
    deadline_seconds: float | None = Field(default=None, gt=0)
    log_every: Filled = 0  # until `fill_defaults`
    checkpoint_every: Filled = 0

    @model_validator(mode="after")
    def fill_defaults(self) -> Self:
        for name, wanted in (
            ("log_every", DEFAULT_LOGGED_STEPS),
            ("checkpoint_every", DEFAULT_CHECKPOINTS),
        ):
            if getattr(self, name) == 0:
                object.__setattr__(self, name, max(1, math.ceil(self.steps / wanted)))
        if self.steps // self.log_every > MAX_LOGGED_STEPS:
            raise at(
                ("log_every",),
                f"{self.steps} steps logged every {self.log_every} make more than "
                f"{MAX_LOGGED_STEPS} history rows; raise log_every",
            )
        if self.early_stopping is not None and self.validation_fraction == 0.0:
            raise at(
                ("early_stopping",),
                "early stopping watches the validation loss; set a validation_fraction",
            )
        return self

    @model_validator(mode="after")
    def fill_keep(self) -> Self:
        stopping = self.early_stopping
        if stopping is None:
            return self
        wanted = "best" if stopping.restore_best else "last"
        if "keep" not in self.model_fields_set:
            object.__setattr__(self, "keep", wanted)
        elif self.keep != wanted and "restore_best" in stopping.model_fields_set:
            raise at(
                ("keep",),
                f'keep is "{self.keep}", but restore_best of the early stopping asks for '
                f'"{wanted}"; leave one of them out',
            )
        # The normalised specification holds both, and must be accepted again.
        object.__setattr__(stopping, "restore_best", self.keep == "best")
        return self

    def logs(self, step: int) -> bool:
        """Whether the history holds `step`."""
        return step % self.log_every == 0 or step == self.steps - 1


class JobSpec(Model):
    """One training job: data, model, loss, optimizer, length, executor."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    dataset: Dataset
    model: ModelSpec
    loss: LossSpec
    optimizer: OptimizerSpec
    training: TrainingSpec
    executor: Literal["native", "scalar"] = "native"

    @model_validator(mode="after")
    def parts_fit(self) -> Self:
        if self.parameters() > MAX_PARAMETERS:
            raise at(
                ("model", "layers"),
                f"{self.parameters():,} parameters; at most {MAX_PARAMETERS:,} are allowed",
            )
        rows = self.dataset.shape()[0]
        if self.training.validation_fraction > 0.0 and rows < 2:
            raise at(("training", "validation_fraction"), "a validation set needs at least 2 rows")
        rate = self.optimizer.learning_rate
        if rate.kind == "warmup" and rate.steps >= self.training.steps:
            raise at(
                ("optimizer", "learning_rate", "steps"),
                f"a warm-up of {rate.steps} steps leaves nothing of {self.training.steps}",
            )
        check_targets(self)
        return self

    def classifies(self) -> bool:
        """Whether outputs are scores of classes; else they are numbers to come close to."""
        return self.loss.kind in ("max_margin", "binary_cross_entropy", "cross_entropy")

    def sizes(self) -> list[int]:
        """Inputs, then the units of each layer."""
        return [self.dataset.shape()[1], *(layer.units for layer in self.model.layers)]

    def parameters(self) -> int:
        sizes = self.sizes()
        return sum((n + 1) * m for n, m in itertools.pairwise(sizes))

    def training_rows(self) -> int:
        """Rows that are trained on: all but those kept for validation."""
        rows = self.dataset.shape()[0]
        return rows - validation_rows(rows, self.training.validation_fraction)

    def work(self) -> int:
        """About how many scalar multiplications training takes, backward pass included."""
        rows = self.training_rows()
        batch = min(self.training.batch_size or rows, rows)
        return 3 * self.parameters() * batch * self.training.steps


def validation_rows(rows: int, fraction: float) -> int:
    """How many rows are kept for validation: the fraction, but one at least and never all."""
    return min(max(1, round(rows * fraction)), rows - 1) if fraction > 0.0 else 0
