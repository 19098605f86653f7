"""Losses of one example, how examples become a batch, and penalties on the parameters.

A loss takes the outputs of the network for one example and that example's targets, both as
sequences, and gives a Value. It is the same graph for every example: no loss looks at a
number to choose what to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from engine.autograd.coercion import number
from engine.autograd.value import Value, log_sum_exp, operand

if TYPE_CHECKING:
    from engine.spec import LossSpec

Target = Value | float
ExampleLoss = Callable[[Sequence[Value], Sequence[Target]], Value]


def mse(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
    """(output - target)²."""
    (output,), (target,) = outputs, targets
    return (output - target) ** 2


def mae(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
    """|output - target|."""
    (output,), (target,) = outputs, targets
    return (output - target).abs()


def huber(outputs: Sequence[Value], targets: Sequence[Target], delta: float = 1.0) -> Value:
    """d²/2 where d = |output - target| is at most delta, delta·(d - delta/2) beyond.

    With c = min(d, delta) both are c·(d - c/2) (Huber 1964; `torch.nn.HuberLoss`).
    """
    (output,), (target,) = outputs, targets
    distance = (output - target).abs()
    clipped = -(-distance).maximum(-number(delta, "delta"))
    return clipped * (distance - 0.5 * clipped)


def max_margin(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
    """max(0, 1 - label·score) with a label of -1 or 1, the hinge loss of an SVM."""
    (score,), (label,) = outputs, targets
    return (1 + -operand(label, "the label") * score).relu()


def binary_cross_entropy(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
    """-log of the probability that sigmoid(logit) gives to the label, 0 or 1.

    softplus(-logit) for 1 and softplus(logit) for 0: exact also for logits of ±1000
    (`torch.nn.BCEWithLogitsLoss`).
    """
    (logit,), (label,) = outputs, targets
    return ((1 - 2 * operand(label, "the label")) * logit).softplus()


def cross_entropy(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
    """log Σ exp(logits) - the logit of the right class, which `targets` marks with a 1.

    The others are 0: a one-hot row keeps the graph the same for every class
    (`torch.nn.CrossEntropyLoss`).
    """
    right = sum_values(logit * mark for logit, mark in zip(outputs, targets, strict=True))
    return log_sum_exp(outputs) - right


LOSSES: dict[str, ExampleLoss] = {
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "max_margin": max_margin,
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
}


def example_loss(spec: LossSpec) -> ExampleLoss:
    """The loss of a specification, for one example."""
    if spec.delta is not None:
        return partial(huber, delta=spec.delta)
    return LOSSES[spec.kind]


def reduce(losses: Sequence[Value], reduction: str) -> Value:
    """The `sum` of the examples' losses, or their `mean`."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"no reduction {reduction!r}; there are mean, sum")
    total = sum_values(losses)
    return total * example_weight(len(losses), reduction) if reduction == "mean" else total


def example_weight(rows: int, reduction: str) -> float:
    """What one example of a batch counts for: 1/rows in a mean, 1 in a sum."""
    return 1.0 / rows if reduction == "mean" else 1.0


def l2(parameters: Iterable[Value], strength: float) -> Value:
    """strength·Σp² over all parameters, biases too."""
    return strength * sum_values(p * p for p in parameters)


def l1(parameters: Iterable[Value], strength: float) -> Value:
    """strength·Σ|p| over all parameters, biases too."""
    return strength * sum_values(abs(p) for p in parameters)


def sum_values(values: Iterable[Value]) -> Value:
    """Left to right, like sum() but without its 0 in front. There must be at least one."""
    rest = iter(values)
    total = next(rest, None)
    if total is None:
        raise ValueError("there is nothing to add up")
    for value in rest:
        total = total + value
    return total
