"""How long a job trains, on which rows, and what it keeps."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.spec.base import MAX_STEPS, Model, Seed, at

MAX_LOGGED_STEPS = 1_000_000
DEFAULT_LOGGED_STEPS = 10_000
DEFAULT_CHECKPOINTS = 50

# Defaults that depend on other fields: the JSON schema has none for them.
Filled = Annotated[int, Field(ge=1, json_schema_extra=lambda schema: schema.pop("default", None))]
Keep = Annotated[
    Literal["last", "best"], Field(json_schema_extra=lambda schema: schema.pop("default", None))
]


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


def validation_rows(rows: int, fraction: float) -> int:
    """How many rows are kept for validation: the fraction, but one at least and never all."""
    return min(max(1, round(rows * fraction)), rows - 1) if fraction > 0.0 else 0
