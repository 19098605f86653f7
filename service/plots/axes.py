"""Axes: from numbers to places, with ticks at round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.plots.svg import Picture

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


LARGEST = 1e300
"""Beyond it the differences of numbers may be infinite."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`, drawn from the place `begin` to the place `end`."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, x: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, x = math.log10(low), math.log10(high), math.log10(x)
        return self.begin + (x - low) / (high - low) * (self.end - self.begin)

    def ticks(self, most: int) -> list[float]:
        """Round numbers within the axis, about `most`."""
        if not self.log:
            return linear_ticks(self.low, self.high, most)
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        if last - first < 1:
            close = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5)]
            found = [x for x in close if self.low <= x <= self.high]
            return found if len(found) > 1 else linear_ticks(self.low, self.high, most)
        every = math.ceil((last - first + 1) / most)
        return [10.0**e for e in range(first, last + 1, every)]


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    size = (high - low) / most
    power = 10.0 ** math.floor(math.log10(size))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= size * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def widened(low: float, high: float, part: float = 0.05) -> tuple[float, float]:
    """A range with some air at both ends, also where all numbers are the same."""
    low, high = max(low, -LARGEST), min(high, LARGEST)
    air = (high - low) * part or abs(low) * 0.1 or 1.0
    return low - air, high + air


def shown(x: float) -> str:
    """A tick's number, short: 0.01, 2500, 10⁻⁷."""
    if x != 0.0 and not 1e-4 <= abs(x) < 1e6:
        mantissa, exponent = f"{x:.1e}".split("e")
        mantissa = mantissa.removesuffix(".0")
        power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
        return power if mantissa == "1" else f"{mantissa}·{power}"
    return f"{x:.6g}".replace("-", "−")


def four(x: float) -> str:
    """A number of the data with at most four digits."""
    text = f"{x:.4g}"
    return shown(float(text))


def horizontal(picture: Picture, scale: Scale, at: float, label: str = "") -> None:
    """The numbers below a plot whose lower edge is `at`, and the axis' label below them."""
    for x in scale.ticks(6):
        picture.text(scale(x), at + 19, shown(x), anchor="middle", soft=True)
    if label:
        picture.text((scale.begin + scale.end) / 2, at + 39, label, anchor="middle")


def vertical(picture: Picture, scale: Scale, left: float, right: float, most: int = 5) -> None:
    """Lines across a plot, and their numbers left of it."""
    for y in scale.ticks(most):
        picture.line((left, scale(y)), (right, scale(y)), "grid")
        picture.text(left - 8, scale(y) + 4.5, shown(y), anchor="end", soft=True)
