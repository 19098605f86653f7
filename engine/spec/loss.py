"""The losses: one class each, with its fields, formula, encoding of targets and score.

To add one, write a class here; it is registered under its `kind`. A formula takes the network's
outputs and the targets of one example, both as sequences, and returns a Value. It builds the same
graph for every example: no formula looks at a number to choose what to compute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union, get_args

from pydantic import Field, model_validator

from engine.autograd.coercion import number
from engine.autograd.value import Value, log_sum_exp, operand
from engine.spec.base import Model, at

if TYPE_CHECKING:
    from engine.arrays import Array

Strength = Annotated[float, Field(ge=0, le=1e6)]
Target = Value | float
ExampleLoss = Callable[[Sequence[Value], Sequence[Target]], Value]

LOSSES: dict[str, type[LossSpec]] = {}
"""Every loss by its kind."""


class LossSpec(Model):
    """The data loss over a batch, plus `l2`·Σp² and `l1`·Σ|p| over all parameters.

    The losses of classes read logits: the last layer is linear, and the loss itself applies the
    sigmoid or the softmax. For two classes an output above 0 means class 1.

    Attributes:
        CLASSIFIES: whether outputs are scores of classes; otherwise they are numbers.
        READS_LOGITS: whether a last layer that squashes its outputs makes learning impossible.
        COMPARISON: how outputs are compared with targets: by `distance` (R²), by `sign`, or by
            the `largest` output.
        OUTPUT: what the outputs are: the `value` itself, the `score` of the second of two
            classes, its logit for a `sigmoid`, or one logit per class for a `softmax`.
        UNIT: the unit of the loss of one example, where `y` is that of the targets.
    """

    CLASSIFIES: ClassVar[bool]
    READS_LOGITS: ClassVar[bool] = False
    COMPARISON: ClassVar[Literal["distance", "sign", "largest"]]
    OUTPUT: ClassVar[Literal["value", "score", "sigmoid", "softmax"]]
    UNIT: ClassVar[str] = "score"

    kind: str
    reduction: Literal["mean", "sum"] = "mean"
    l1: Strength = 0.0
    l2: Strength = 0.0

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        kinds = get_args(cls.model_fields["kind"].annotation)
        if kinds:
            LOSSES[kinds[0]] = cls

    @model_validator(mode="before")
    @classmethod
    def fields_belong_to_the_kind(cls, data: object) -> object:
        """Drops a null field of another loss, as specifications of version 0.1 hold them."""
        if not isinstance(data, dict):
            return data
        for name in data.keys() - cls.model_fields.keys():
            owners = [kind for kind, loss in LOSSES.items() if name in loss.model_fields]
            if owners and data[name] is not None:
                raise at((name,), f"only {' and '.join(owners)} has a {name}; remove it")
            if owners:
                data = {field: value for field, value in data.items() if field != name}
        return data

    @staticmethod
    def formula(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
        """The loss of one example."""
        raise NotImplementedError

    def example(self) -> ExampleLoss:
        """The formula with this specification's own fields filled in."""
        own = set(type(self).model_fields) - set(LossSpec.model_fields)
        fields = {name: getattr(self, name) for name in own}
        return partial(self.formula, **fields) if fields else self.formula

    @property
    def score_name(self) -> str:
        """The name of what `accuracy` holds."""
        return "accuracy" if self.CLASSIFIES else "R²"

    def outputs(self, classes: int | None) -> int:
        """How many output units the network needs."""
        return 1

    def allowed_labels(self, outputs: int) -> tuple[set[float], str]:
        """The labels that a data set of one's own may have, and their description."""
        return {-1.0, 0.0, 1.0}, f"{self.kind} reads two labels, such as 0 and 1 or -1 and 1"

    def encode(self, y: Array, outputs: int) -> Array:
        """Targets (rows × 1, or rows × classes) as the formula reads them, from one per row."""
        return y[:, None]

    def score(self, outputs: Array, targets: Array) -> float | None:
        """Accuracy of `outputs` (rows × units), or R² where the loss does not classify."""
        if self.COMPARISON == "distance":
            return r_squared(outputs, targets)
        if self.COMPARISON == "largest":
            right = largest(outputs) == targets.argmax(axis=1)
        else:
            right = (outputs > 0.0) == (targets > 0.0)
        return float(right.mean())


class Regression(LossSpec):
    """The losses of numbers to come close to."""

    CLASSIFIES: ClassVar[bool] = False
    COMPARISON: ClassVar[Literal["distance", "sign", "largest"]] = "distance"
    OUTPUT: ClassVar[Literal["value", "score", "sigmoid", "softmax"]] = "value"
    UNIT: ClassVar[str] = "y²"


class TwoClasses(LossSpec):
    """The losses of two classes, told apart by the sign of one output."""

    CLASSIFIES: ClassVar[bool] = True
    COMPARISON: ClassVar[Literal["distance", "sign", "largest"]] = "sign"
    OUTPUT: ClassVar[Literal["value", "score", "sigmoid", "softmax"]] = "score"
    READS_LOGITS: ClassVar[bool] = True


class MeanSquaredError(Regression):
    """(output - target)²."""

    kind: Literal["mse"]

    @staticmethod
    def formula(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
        (output,), (target,) = outputs, targets
        return (output - target) ** 2


class MeanAbsoluteError(Regression):
    """|output - target|."""

    UNIT: ClassVar[str] = "y"

    kind: Literal["mae"]

    @staticmethod
    def formula(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
        (output,), (target,) = outputs, targets
        return (output - target).abs()


class Huber(Regression):
    """d²/2 where d = |output - target| is at most `delta`, delta·(d - delta/2) beyond.

    With c = min(d, delta) both are c·(d - c/2) (Huber 1964; `torch.nn.HuberLoss`).
    """

    kind: Literal["huber"]
    delta: float = Field(default=1.0, gt=0, le=1e6)

    @staticmethod
    def formula(outputs: Sequence[Value], targets: Sequence[Target], delta: float = 1.0) -> Value:
        (output,), (target,) = outputs, targets
        distance = (output - target).abs()
        clipped = -(-distance).maximum(-number(delta, "delta"))
        return clipped * (distance - 0.5 * clipped)


class MaxMargin(TwoClasses):
    """max(0, 1 - label·score) with a label of -1 or 1: the hinge loss of an SVM."""

    kind: Literal["max_margin"]

    @staticmethod
    def formula(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
        (score,), (label,) = outputs, targets
        return (1 + -operand(label, "the label") * score).relu()

    def encode(self, y: Array, outputs: int) -> Array:
        return 2.0 * (y > 0.0).astype(float)[:, None] - 1.0


class BinaryCrossEntropy(TwoClasses):
    """-log of the probability that sigmoid(logit) gives to the label, 0 or 1.

    softplus(-logit) for 1 and softplus(logit) for 0: exact for logits of ±1000 too
    (`torch.nn.BCEWithLogitsLoss`).
    """

    OUTPUT: ClassVar[Literal["value", "score", "sigmoid", "softmax"]] = "sigmoid"
    UNIT: ClassVar[str] = "nats"

    kind: Literal["binary_cross_entropy"]

    @staticmethod
    def formula(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
        (logit,), (label,) = outputs, targets
        return ((1 - 2 * operand(label, "the label")) * logit).softplus()

    def encode(self, y: Array, outputs: int) -> Array:
        return (y > 0.0).astype(float)[:, None]


class CrossEntropy(LossSpec):
    """-log of the probability that the softmax of the logits gives to the right class.

    log Σ exp(logit - right), where `right` is the logit of the class that `targets` marks with a
    1 among zeros. Subtracting it first keeps every digit under a large common offset
    (`torch.nn.CrossEntropyLoss`); the one-hot marks keep the graph the same for every class.
    """

    CLASSIFIES: ClassVar[bool] = True
    COMPARISON: ClassVar[Literal["distance", "sign", "largest"]] = "largest"
    OUTPUT: ClassVar[Literal["value", "score", "sigmoid", "softmax"]] = "softmax"
    UNIT: ClassVar[str] = "nats"
    READS_LOGITS: ClassVar[bool] = True

    kind: Literal["cross_entropy"]

    @staticmethod
    def formula(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
        marked = [logit * mark for logit, mark in zip(outputs, targets, strict=True)]
        right = marked[0]
        for term in marked[1:]:
            right = right + term
        return log_sum_exp([logit - right for logit in outputs])

    def outputs(self, classes: int | None) -> int:
        return 1 if classes is None else classes

    def allowed_labels(self, outputs: int) -> tuple[set[float], str]:
        shown = ", ".join(map(str, range(outputs - 1)))
        names = f"{shown} and {outputs - 1}" if outputs <= 4 else f"0 to {outputs - 1}"
        allowed = f"{outputs} output units allow only the labels {names}"
        return {float(c) for c in range(outputs)}, allowed

    def encode(self, y: Array, outputs: int) -> Array:
        import numpy as np  # here, because checking a specification needs no NumPy

        return np.eye(outputs)[y.astype(np.intp)]


if TYPE_CHECKING:
    Loss = LossSpec
else:
    Loss = Annotated[Union[tuple(LOSSES.values())], Field(discriminator="kind")]  # noqa: UP007


# Each formula under its kind, for notebooks: `from engine.spec.loss import mse`.
FORMULAS: dict[str, ExampleLoss] = {kind: loss.formula for kind, loss in LOSSES.items()}
globals().update(FORMULAS)


def __getattr__(name: str) -> ExampleLoss:  # for type checkers, which cannot see the line above
    raise AttributeError(f"there is no loss {name!r}; there are {', '.join(LOSSES)}")


def score_name(kind: str) -> str:
    """The name of what `accuracy` holds in a job with this kind of loss."""
    loss = LOSSES.get(kind)
    return "R²" if loss is not None and not loss.CLASSIFIES else "accuracy"


def largest(outputs: Array) -> Array:
    """The position of the largest output of each row; NaN is never larger than another number."""
    import numpy as np

    top, position = outputs[:, 0].copy(), np.zeros(len(outputs))
    for unit in range(1, outputs.shape[1]):
        larger = outputs[:, unit] > top
        top[larger], position[larger] = outputs[larger, unit], unit
    return position


def r_squared(predictions: Array, targets: Array) -> float | None:
    """1 - residual / total sum of squares; None where all targets are the same."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):  # a result that is not finite is no score
        total = float(np.sum((targets - targets.mean()) ** 2))
        residual = float(np.sum((targets - predictions) ** 2))
    # The mean of equal numbers may be rounded to another one, and small squares to 0.
    if targets.max() == targets.min() or total == 0.0:
        return None
    score = 1.0 - residual / total
    return score if math.isfinite(score) else None
