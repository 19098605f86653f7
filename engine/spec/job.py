"""A whole training job as a pydantic model.

It is the one definition: the API validates requests with it, the worker and `engine.train` run
it, and the command checks files with it before they are sent. Validation fills in the defaults
that depend on other fields, so `JobSpec.model_dump()` is the normalised specification.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from engine.spec import cost
from engine.spec.base import Model, at
from engine.spec.datasets import Dataset
from engine.spec.loss import Loss
from engine.spec.model import GivenInit, ModelSpec
from engine.spec.optimizer import OptimizerSpec
from engine.spec.tables.statistics import label_name
from engine.spec.target_checks import check_targets, class_labels
from engine.spec.training import TrainingSpec, validation_rows

MAX_PARAMETERS = 2_000_000


class JobSpec(Model):
    """One training job: data, model, loss, optimizer, length, executor."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    dataset: Dataset
    model: ModelSpec
    loss: Loss
    optimizer: OptimizerSpec
    training: TrainingSpec
    executor: Literal["native", "scalar"] = "native"

    @model_validator(mode="after")
    def parts_fit(self) -> Self:
        self.dataset.check_features()
        if self.parameters() > MAX_PARAMETERS:
            raise at(
                ("model", "layers"),
                f"{self.parameters():,} parameters; at most {MAX_PARAMETERS:,} are allowed",
            )
        if isinstance(self.model.init, GivenInit):
            self.model.init.check(self.model.layers, self.sizes()[0])
        rows = self.dataset.shape()[0]
        if self.training.validation_fraction > 0.0 and rows < 2:
            raise at(("training", "validation_fraction"), "a validation set needs at least 2 rows")
        check_targets(self.dataset, self.model, self.loss)
        self.every_class_is_trained()
        problem = self.optimizer.learning_rate.problem(self.training.steps)
        if problem is not None:
            field, sentence = problem
            raise at(("optimizer", "learning_rate", field), sentence)
        return self

    def every_class_is_trained(self) -> None:
        rows, classes = self.dataset.shape()[0], self.dataset.distinct_labels()
        kept = rows - self.training_rows()
        if self.classifies() and classes is not None and kept > rows - classes:
            raise at(
                ("training", "validation_fraction"),
                f"keeping {kept} of {rows} rows for validation leaves at least one of the "
                f"{classes} classes without a training row; at most {rows - classes} may be kept, "
                "so lower it or add rows",
            )

    def classifies(self) -> bool:
        """Whether outputs are scores of classes; otherwise they are numbers to come close to."""
        return self.loss.CLASSIFIES

    def class_labels(self) -> list[float] | None:
        """The labels of the classes in their order; None where labels are their positions."""
        targets = self.dataset.known_targets()
        if not self.classifies() or targets is None or self.dataset.classes() is not None:
            return None
        return class_labels(targets, self.loss, self.sizes()[-1])

    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes in their order; None in a regression."""
        if not self.classifies():
            return None
        labels = self.class_labels()
        if labels is None:
            return self.dataset.class_names()
        return tuple(map(label_name, labels))

    def sizes(self) -> list[int]:
        """Inputs, then the units of each layer."""
        return [self.dataset.shape()[1], *(layer.units for layer in self.model.layers)]

    def parameters(self) -> int:
        return cost.parameter_count(self.sizes())

    def state_bytes(self) -> int:
        """About how many bytes the state to resume from takes: what a checkpoint holds."""
        arrays = 1 + (self.optimizer.momentum > 0.0) + (not self.training.zero_grad)
        return 8 * self.parameters() * arrays

    def training_rows(self) -> int:
        """Rows that are trained on: all but those kept for validation."""
        rows = self.dataset.shape()[0]
        return rows - validation_rows(rows, self.training.validation_fraction)

    def work(self) -> int:
        """About how many scalar multiplications training takes, as the native executor makes them.

        The backward pass is included, and so are the validation rows of each logged step. The
        scalar executor is so much slower that one of its own counts as many.
        """
        rows, steps = self.training_rows(), self.training.steps
        batch = min(self.training.batch_size or rows, rows)
        validation = self.dataset.shape()[0] - rows
        logged = -(-steps // self.training.log_every)
        work = self.parameters() * (3 * batch * steps + validation * logged)
        return work * (cost.SCALAR_FACTOR if self.executor == "scalar" else 1)

    def memory(self) -> cost.Memory:
        """About how many bytes of memory training takes."""
        one_hot = self.loss.COMPARISON == "largest"
        rows, columns = self.dataset.raw_shape()
        return cost.memory(self.sizes(), rows, columns, one_hot=one_hot)
