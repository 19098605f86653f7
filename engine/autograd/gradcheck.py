"""Finite differences against `backward()`.

The derivative of f at x is compared with (f(x + h) - f(x - h)) / 2h, with h = 6·10⁻⁶·max(1, |x|):
near the cube root of the machine's precision truncation and rounding are about equal, if f bends
over distances of about max(1, |x|).

Where it bends over shorter ones, or ends (log near 0), that step is too long. So when the first
quotient disagrees, smaller steps decide, by their agreement with each other and not with
`backward()`. At a kink of f, and at the end of its domain, differences cannot decide.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.autograd.value import Value

STEP = 6e-6
SHORTER_STEPS = 8
"""Each is a tenth of the one before; the last is still hundreds of times the spacing of floats."""
TOLERANCE = 1e-6
FLOOR = 1e-3
"""Gradients below FLOOR·max(1, |f|) are compared absolutely: rounding hides their digits."""


@dataclass(frozen=True, slots=True)
class Check:
    """The worst disagreement, and where it is.

    Attributes:
        error: |exact - numeric| / max(|exact|, |numeric|, FLOOR·max(1, |f|)).
        place: the input or parameter with this error.
        exact: its derivative by `backward()`.
        numeric: its derivative by finite differences.
        count: how many derivatives were compared.
    """

    error: float
    place: str
    exact: float
    numeric: float
    count: int

    def __bool__(self) -> bool:
        """Whether all agree to TOLERANCE."""
        return self.error < TOLERANCE

    def __str__(self) -> str:
        return (
            f"worst relative error {self.error:.1e} of {self.count} at {self.place}: "
            f"exact {self.exact!r}, numeric {self.numeric!r}"
        )


class HasParameters(Protocol):
    """Something with parameters; `engine.Module` and its subclasses are."""

    def parameters(self) -> Iterable[Value]: ...


class Differentiable(Protocol):
    """A loss with a gradient of its own, over a flat list of parameters: a native program."""

    def loss(self, parameters: Sequence[float]) -> float: ...

    def gradient(self, parameters: Sequence[float]) -> Sequence[float]: ...


def gradcheck(function: Callable[..., Value], *inputs: float) -> Check:
    """Checks a function of Values at the point `inputs`."""
    leaves = [Value(x) for x in inputs]
    function(*leaves).backward()
    return compare(
        lambda point: function(*map(Value, point)).data,
        list(inputs),
        [leaf.grad for leaf in leaves],
        [f"input {i}" for i in range(len(inputs))],
    )


def check_model(model: HasParameters, loss: Callable[[], Value]) -> Check:
    """Checks a model's parameters in `loss`, a function that calls the model.

    Leaves the parameters as they were and their gradients at those of the loss.
    """
    parameters = list(model.parameters())
    start = [p.data for p in parameters]

    def at(point: Sequence[float]) -> float:
        for p, number in zip(parameters, point, strict=True):
            p.data = number
        return loss().data

    for p in parameters:
        p.grad = 0.0
    loss().backward()
    try:
        return compare(at, start, [p.grad for p in parameters], names(model, parameters))
    finally:
        for p, number in zip(parameters, start, strict=True):
            p.data = number


def check_program(program: Differentiable, parameters: Sequence[float]) -> Check:
    """Checks anything that computes a loss and its gradient, at the given parameters."""
    point = [float(p) for p in parameters]
    exact = [float(g) for g in program.gradient(point)]
    return compare(program.loss, point, exact, [f"parameter {i}" for i in range(len(point))])


def compare(
    function: Callable[[Sequence[float]], float],
    point: Sequence[float],
    exact: Sequence[float],
    names: Sequence[str],
) -> Check:
    """Checks the gradient `exact` of a function of numbers. All other checks call this one."""
    size = max(1.0, abs(function(point)))
    worst = Check(0.0, "nowhere", 0.0, 0.0, len(point))
    for i, name in enumerate(names):
        numeric = central_difference(function, point, i, first_step(point[i]))
        if not relative_error(exact[i], numeric, size) < TOLERANCE:
            numeric = steadiest_difference(function, point, i, size)
        error = relative_error(exact[i], numeric, size)
        # Written so that a NaN counts as the worst.
        if not error <= worst.error:
            worst = Check(error, name, exact[i], numeric, len(point))
    return worst


def first_step(x: float) -> float:
    return STEP * max(1.0, abs(x))


def relative_error(exact: float, numeric: float, size: float) -> float:
    return abs(exact - numeric) / max(abs(exact), abs(numeric), FLOOR * size)


def steadiest_difference(
    function: Callable[[Sequence[float]], float], point: Sequence[float], i: int, size: float
) -> float:
    """d(function)/d(point[i]) from shrinking steps; NaN where none of them is defined.

    Every two steps in a row are extrapolated to 0 (Richardson: a tenth of the step leaves a
    hundredth of the error). The result is the extrapolation that differs least from the one
    before it, where the difference includes what rounding numbers of `size` may have done. As in
    Ridders (1982), truncation no longer matters there, and rounding does not matter yet.
    """
    h = first_step(point[i])
    longer = central_difference(function, point, i, h)
    before = best = math.nan
    least = math.inf
    for _ in range(SHORTER_STEPS):
        h /= 10.0
        shorter = central_difference(function, point, i, h)
        limit = shorter + (shorter - longer) / 99.0
        change = abs(limit - before) + sys.float_info.epsilon * size / h
        if change < least:
            best, least = limit, change
        longer, before = shorter, limit
    return best


def central_difference(
    function: Callable[[Sequence[float]], float], point: Sequence[float], i: int, h: float
) -> float:
    """(f(x + h) - f(x - h)) / 2h for x = point[i]; NaN where f is not defined there."""
    above, below = list(point), list(point)
    above[i] += h
    below[i] -= h
    try:
        rise = function(above) - function(below)
    except (ValueError, ArithmeticError):
        return math.nan
    # Not 2h: the two points lie where rounding has put them.
    return rise / (above[i] - below[i])


def names(model: HasParameters, parameters: Sequence[Value]) -> list[str]:
    """Where each parameter is, as one would write it to get it."""
    found = {id(value): path.lstrip(".") for path, value in values_in(model, "", set())}
    return [found.get(id(p), f"parameters()[{i}]") for i, p in enumerate(parameters)]


def values_in(holder: object, path: str, seen: set[int]) -> Iterator[tuple[str, Value]]:
    """Every Value in attributes, lists and dictionaries of `holder`, with the path to it."""
    if isinstance(holder, Value):
        yield path, holder
        return
    if id(holder) in seen:
        return
    seen.add(id(holder))
    if isinstance(holder, (list, tuple)):
        parts = [(f"[{i}]", part) for i, part in enumerate(holder)]
    elif isinstance(holder, dict):
        parts = [(f"[{key!r}]", part) for key, part in holder.items()]
    else:
        parts = [(f".{name}", part) for name, part in getattr(holder, "__dict__", {}).items()]
    for step, part in parts:
        yield from values_in(part, path + step, seen)
