"""Losses of one example, how examples become a batch, and penalties on the parameters.

A loss takes the outputs of the network for one example and that example's targets, both as
sequences, and gives a Value. It is the same graph for every example: no loss looks at a
number to choose what to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.value import Value

Target = Value | float
ExampleLoss = Callable[[Sequence[Value], Sequence[Target]], Value]


def mse(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
    """(output - target)²."""
    (output,), (target,) = outputs, targets
    return (output - target) ** 2


def max_margin(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:
    """max(0, 1 - label·score) with a label of -1 or 1, the hinge loss of an SVM."""
    (score,), (label,) = outputs, targets
    return (1 + -label * score).relu()


LOSSES: dict[str, ExampleLoss] = {"mse": mse, "max_margin": max_margin}


def reduce(losses: Sequence[Value], reduction: str) -> Value:
    """The sum of the examples' losses, or their mean."""
    total = sum_values(losses)
    return total * example_weight(len(losses), reduction) if reduction == "mean" else total


def example_weight(rows: int, reduction: str) -> float:
    """What one example of a batch counts for: 1/rows in a mean, 1 in a sum."""
    return 1.0 / rows if reduction == "mean" else 1.0


def l2(parameters: Iterable[Value], strength: float) -> Value:
    """strength·Σp² over all parameters, biases too."""
    return strength * sum_values(p * p for p in parameters)


def sum_values(values: Iterable[Value]) -> Value:
    """Left to right, like sum() but without its 0 in front."""
    rest = iter(values)
    total = next(rest)
    for value in rest:
        total = total + value
    return total
