"""Forward formulas that need care at the ends of the range and outside their domains.

They follow IEEE 754 as PyTorch does: an overflow is infinity, and sin(∞) is NaN. Only a number
outside an operation's domain is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

FAR = 2.0**12
"""From here on a log Σ exp has lost so many digits that its slopes do not rely on it."""
SQRT_HALF = math.sqrt(0.5)
INVERSE_SQRT_TAU = 1.0 / math.sqrt(2.0 * math.pi)


def exp(x: float) -> float:
    """e**x; infinity where math.exp would raise."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def power(base: float, exponent: float) -> float:
    """base**exponent as C's pow gives it; ValueError where the result is not a real number."""
    if base == 0.0 and exponent < 0.0:
        raise ZeroDivisionError(f"power is not defined: {base!r} ** {exponent!r} divides by zero")
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent % 2.0 == 1.0
        return -math.inf if base < 0.0 and odd else math.inf
    except ValueError:
        raise ValueError(
            f"power is not defined: {base!r} ** {exponent!r} is not a real number"
        ) from None


def sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-math.fabs(x)))


THIN_TAIL = -5.0
"""Below this, rounding x² costs digits of exp(-x²/2): at -37, the last three of sixteen."""


def normal_cdf(x: float) -> float:
    """Φ(x) = erfc(-x/√2)/2, which unlike 1 + erf(x/√2) keeps its digits in the tail."""
    z = -x * SQRT_HALF
    tail = 0.5 * math.erfc(z)
    if x < THIN_TAIL and tail > 0.0:
        # z is rounded. erfc(z) is nearly proportional to exp(-z²) here, and -x²/2 is known.
        tail *= 1.0 + (square_rest(z, z * z) - 0.5 * square_rest(x, 2.0 * z * z))
    return tail


def normal_density(x: float) -> float:
    """exp(-x²/2)/√(2π)."""
    square = x * x
    density = INVERSE_SQRT_TAU * math.exp(-0.5 * square)
    if x < THIN_TAIL and density > 0.0:
        density *= 1.0 - 0.5 * square_rest(x, square)
    return density


def square_rest(x: float, square: float) -> float:
    """x² - square for a number near x², without rounding x² first (Dekker 1971)."""
    shifted = 134217729.0 * x
    high = shifted - (shifted - x)
    low = x - high
    return ((high * high - square) + 2.0 * high * low) + low * low


def sin(x: float) -> float:
    """NaN at infinity, where math.sin would raise."""
    return math.sin(x) if math.isfinite(x) else math.nan


def cos(x: float) -> float:
    """NaN at infinity, where math.cos would raise."""
    return math.cos(x) if math.isfinite(x) else math.nan


def log(x: float) -> float:
    """Natural logarithm; ValueError at or below zero."""
    if x <= 0.0:
        raise ValueError(f"log of {x!r} is not defined: the value must be above zero")
    return math.log(x)


def sqrt(x: float) -> float:
    """Square root; ValueError below zero."""
    if x < 0.0:
        raise ValueError(f"sqrt of {x!r} is not defined: the value is negative")
    return math.sqrt(x)


def divide(a: float, b: float) -> float:
    if b == 0.0:
        raise ZeroDivisionError(f"division by zero: {a!r} / {b!r}")
    return a / b


def add_up(numbers: Iterable[float]) -> float:
    """The sum from left to right. From Python 3.12 on, `sum` rounds differently."""
    return reduce(add, numbers, 0.0)


def log_sum_exp(numbers: Sequence[float]) -> float:
    """log Σ exp(xᵢ). The largest is taken out first: m + log Σ exp(xᵢ - m)."""
    top = max(numbers)
    if math.isfinite(top):
        return top + math.log(add_up(exp(x - top) for x in numbers))
    return add_up(numbers) if any(math.isnan(x) for x in numbers) else top
