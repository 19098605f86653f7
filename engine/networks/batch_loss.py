"""From the losses of examples to that of a batch: the reduction, and penalties on parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.autograd.value import Value


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
