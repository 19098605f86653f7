"""Everything a training job may ask for, as pydantic models.

The one definition: the API validates requests with it, the worker and `engine.train` run it,
the client checks files with it before they are sent. Defaults that depend on other fields are
filled in by validation, so `JobSpec.model_dump()` is the normalised specification.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

MAX_ROWS = 100_000
MAX_INPUTS = 4_096
MAX_LAYERS = 32
MAX_UNITS = 4_096
MAX_PARAMETERS = 2_000_000
MAX_STEPS = 100_000_000
MAX_LOGGED_STEPS = 1_000_000
DEFAULT_LOGGED_STEPS = 10_000
DEFAULT_CHECKPOINTS = 50

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Activation = Literal["linear", "relu", "tanh"]


class Model(BaseModel):
    """Strict: no unknown field, no coercion between types, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Moons(Model):
    """Two interleaving half circles in the plane, one class each."""

    kind: Literal["moons"]
    n_samples: int = Field(default=100, ge=2, le=MAX_ROWS)
    noise: float = Field(default=0.1, ge=0)
    seed: Seed = 0

    def shape(self) -> tuple[int, int]:
        return self.n_samples, 2

    def classes(self) -> int | None:
        return 2


class Circles(Model):
    """A circle inside a circle; `factor` is the ratio of their radii."""

    kind: Literal["circles"]
    n_samples: int = Field(default=100, ge=2, le=MAX_ROWS)
    noise: float = Field(default=0.1, ge=0)
    factor: float = Field(default=0.5, ge=0, lt=1)
    seed: Seed = 0

    def shape(self) -> tuple[int, int]:
        return self.n_samples, 2

    def classes(self) -> int | None:
        return 2


class Blobs(Model):
    """Isotropic Gaussian clouds, one class each."""

    kind: Literal["blobs"]
    n_samples: int = Field(default=100, ge=2, le=MAX_ROWS)
    centers: int = Field(default=2, ge=2, le=100)
    n_features: int = Field(default=2, ge=1, le=MAX_INPUTS)
    cluster_std: float = Field(default=1.0, ge=0)
    seed: Seed = 0

    def shape(self) -> tuple[int, int]:
        return self.n_samples, self.n_features

    def classes(self) -> int | None:
        return self.centers


class Xor(Model):
    """Points in the square [-1, 1]²; the class is whether the signs of x and y differ.

    Four samples without noise are the truth table itself.
    """

    kind: Literal["xor"]
    n_samples: int = Field(default=4, ge=4, le=MAX_ROWS)
    noise: float = Field(default=0.0, ge=0)
    seed: Seed = 0

    def shape(self) -> tuple[int, int]:
        return self.n_samples, 2

    def classes(self) -> int | None:
        return 2


class Inline(Model):
    """Rows sent with the job: `x` is rows × inputs, `y` one target a row."""

    kind: Literal["inline"]
    x: list[list[float]] = Field(min_length=1, max_length=MAX_ROWS)
    y: list[float] = Field(min_length=1, max_length=MAX_ROWS)

    @model_validator(mode="after")
    def rows_agree(self) -> Self:
        width = len(self.x[0])
        if not 1 <= width <= MAX_INPUTS:
            raise at(("x", 0), f"a row needs 1 to {MAX_INPUTS} numbers, this one has {width}")
        for i, row in enumerate(self.x):
            if len(row) != width:
                raise at(("x", i), f"row {i} has {len(row)} numbers, the first row has {width}")
        if len(self.y) != len(self.x):
            raise at(("y",), f"{len(self.y)} targets for {len(self.x)} rows of x")
        return self

    def shape(self) -> tuple[int, int]:
        return len(self.x), len(self.x[0])

    def classes(self) -> int | None:
        return None


Dataset = Annotated[Moons | Circles | Blobs | Xor | Inline, Field(discriminator="kind")]


class LayerSpec(Model):
    units: int = Field(ge=1, le=MAX_UNITS)
    activation: Activation = "linear"


class InitSpec(Model):
    """Weights from `random.Random(seed).uniform(-1, 1)`, neuron by neuron in layer order.

    `bias: uniform` draws each neuron's bias after its weights; otherwise biases are 0.
    """

    kind: Literal["uniform", "xavier", "he"] = "uniform"
    bias: Literal["zeros", "uniform"] = "zeros"
    seed: Seed = 0


class ModelSpec(Model):
    layers: list[LayerSpec] = Field(min_length=1, max_length=MAX_LAYERS)
    init: InitSpec = InitSpec()


class LossSpec(Model):
    """The data loss over a batch plus `l2` times the sum of all squared parameters."""

    kind: Literal["mse", "max_margin"]
    reduction: Literal["mean", "sum"] = "mean"
    l2: float = Field(default=0.0, ge=0)


class ConstantRate(Model):
    kind: Literal["constant"]
    value: float = Field(gt=0)


class LinearRate(Model):
    """start + (end - start)·k/steps at step k."""

    kind: Literal["linear"]
    start: float = Field(gt=0)
    end: float = Field(ge=0)


LearningRate = Annotated[ConstantRate | LinearRate, Field(discriminator="kind")]


class OptimizerSpec(Model):
    kind: Literal["sgd"] = "sgd"
    learning_rate: LearningRate

    @model_validator(mode="before")
    @classmethod
    def number_is_a_constant_rate(cls, data: object) -> object:
        if isinstance(data, dict):
            rate = data.get("learning_rate")
            if isinstance(rate, (int, float)) and not isinstance(rate, bool):
                return data | {"learning_rate": {"kind": "constant", "value": rate}}
        return data


class TrainingSpec(Model):
    """How long to train and what to write down.

    `log_every` defaults to 1 up to 10,000 steps and to steps/10,000 beyond; the first and the
    last step are always logged. `checkpoint_every` defaults to steps/50.
    """

    steps: int = Field(ge=1, le=MAX_STEPS)
    zero_grad: bool = True
    deadline_seconds: float | None = Field(default=None, gt=0)
    log_every: int = Field(default=0, ge=1)
    checkpoint_every: int = Field(default=0, ge=1)

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
    executor: Literal["scalar"] = "scalar"

    @model_validator(mode="after")
    def parts_fit(self) -> Self:
        outputs = self.model.layers[-1].units
        if outputs != 1:
            raise at(
                ("model", "layers", len(self.model.layers) - 1, "units"),
                f"{self.loss.kind} needs 1 output unit, not {outputs}",
            )
        if self.parameters() > MAX_PARAMETERS:
            raise at(
                ("model", "layers"),
                f"{self.parameters()} parameters; at most {MAX_PARAMETERS} are allowed",
            )
        if self.loss.kind == "max_margin":
            self._check_binary_labels()
        return self

    def _check_binary_labels(self) -> None:
        if isinstance(self.dataset, Inline):
            for i, label in enumerate(self.dataset.y):
                if label not in (-1.0, 0.0, 1.0):
                    raise at(("dataset", "y", i), f"label {label!r} is neither 0, 1 nor -1, 1")
            if {-1.0, 0.0} <= set(self.dataset.y):
                raise at(("dataset", "y"), "labels mix 0 with -1; use {0, 1} or {-1, 1}")
            if len(set(self.dataset.y)) != 2:
                raise at(("dataset", "y"), "labels are all the same; two classes are needed")
        elif self.dataset.classes() != 2:
            raise at(
                ("loss", "kind"),
                f"{self.loss.kind} needs 2 classes, {self.dataset.kind} has "
                f"{self.dataset.classes()}",
            )

    def classifies(self) -> bool:
        return self.loss.kind == "max_margin"

    def sizes(self) -> list[int]:
        """Inputs, then the units of each layer."""
        return [self.dataset.shape()[1], *(layer.units for layer in self.model.layers)]

    def parameters(self) -> int:
        sizes = self.sizes()
        return sum((n + 1) * m for n, m in itertools.pairwise(sizes))


def at(location: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """A validation error at `location` below the model that raises it.

    A validator that looks at several fields can only fail as a whole; the location within it
    travels in the error's context and `error_location` puts it back.
    """
    return PydanticCustomError("invalid", "{message}", {"location": location, "message": message})
