"""Approximations of exp, log, sine, cosine and the normal distribution, on eight lanes at once.

Argument reduction follows Cody and Waite; the coefficients of log, sin and cos are fdlibm's (Sun
Microsystems, 1993). All stay within a few units in the last place of the exact result.
"""

from __future__ import annotations

import math

from engine.native.lanes.float_bits import ROUNDER, exponent_of, fraction_of, has_bit, power_of_two
from engine.native.lanes.values import Lanes
from engine.native.lanes.vectors import fma, magnitude, select

INFINITY, NAN = math.inf, math.nan
# Of ln(2) a part with trailing zeros, so that n times it is exact, and the rest.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
PER_LN2 = 1.0 / math.log(2.0)
SQRT_HALF = math.sqrt(0.5)


def expm1_reduced(x: Lanes) -> Lanes:
    """exp(x) - 1 for |x| <= ln(2)/2: the Taylor series up to x¹³."""
    p = fma(x, 1.0 / 6227020800.0, 1.0 / 479001600.0)
    p = fma(p, x, 1.0 / 39916800.0)
    p = fma(p, x, 1.0 / 3628800.0)
    p = fma(p, x, 1.0 / 362880.0)
    p = fma(p, x, 1.0 / 40320.0)
    p = fma(p, x, 1.0 / 5040.0)
    p = fma(p, x, 1.0 / 720.0)
    p = fma(p, x, 1.0 / 120.0)
    p = fma(p, x, 1.0 / 24.0)
    p = fma(p, x, 1.0 / 6.0)
    p = fma(p, x, 0.5)
    return fma(p, x * x, x)


def multiple_of_ln2(x: Lanes) -> Lanes:
    """n + ROUNDER for the integer n nearest to x/ln(2)."""
    return fma(x, PER_LN2, ROUNDER)


def rest_of_ln2(x: Lanes, n: Lanes) -> Lanes:
    """x - n·ln(2)."""
    return fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))


def exp(x: Lanes) -> Lanes:
    # Beyond these ends the result is 0 or infinity, and n would leave the exponent's range.
    x = select(x > 710.0, 710.0, select(x < -746.0, -746.0, x))
    rounded = multiple_of_ln2(x)
    n = rounded - ROUNDER
    p = expm1_reduced(rest_of_ln2(x, n)) + 1.0
    # In two steps, since 2ⁿ itself may be too large or too small for a float64.
    half = fma(n, 0.5, ROUNDER)
    rest = (n - (half - ROUNDER)) + ROUNDER
    return p * power_of_two(half) * power_of_two(rest)


def log(x: Lanes) -> Lanes:
    """log(2ᵏ·m) = k·ln(2) + log(m) with m in [√½, √2)."""
    subnormal = x < 2.0**-1022
    scaled = select(subnormal, x * 2.0**54, x)
    k = exponent_of(scaled) - select(subnormal, 1023.0 + 54.0, 1023.0)
    m = fraction_of(scaled)
    large = m > 1.4142135623730951
    m = select(large, m * 0.5, m)
    k = select(large, k + 1.0, k)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    r = fma(z, 1.479819860511658591e-01, 1.531383769920937332e-01)
    r = fma(r, z, 1.818357216161805012e-01)
    r = fma(r, z, 2.222219843214978396e-01)
    r = fma(r, z, 2.857142874366239149e-01)
    r = fma(r, z, 3.999999999940941908e-01)
    r = fma(r, z, 6.666666666666735130e-01) * z
    half = f * f * 0.5
    result = k * LN2_HIGH - ((half - fma(s, half + r, k * LN2_LOW)) - f)
    result = select(x < INFINITY, result, x)
    return select(x > 0.0, result, select(x == 0.0, -INFINITY, NAN))


LARGEST_ANGLE = 1e9
"""Beyond it the three parts of π/2 below are too few and the C library takes over."""


def sine_or_cosine(x: Lanes, shift: float) -> Lanes:
    """sin(x) for a shift of 0, cos(x) = sin(x + π/2) for a shift of 1."""
    rounded = fma(x, 2.0 / math.pi, ROUNDER)
    n = rounded - ROUNDER
    r = fma(n, -1.5707963267948966, x)
    r = fma(n, -6.123233995736766e-17, r)
    r = fma(n, 1.4973849048591698e-33, r)
    z = r * r
    s = fma(z, 1.58969099521155010221e-10, -2.50507602534068634195e-08)
    s = fma(s, z, 2.75573137070700676789e-06)
    s = fma(s, z, -1.98412698298579493134e-04)
    s = fma(s, z, 8.33333333332248946124e-03)
    s = fma(s, z, -1.66666666666666324348e-01)
    sine = fma(s * z, r, r)
    c = fma(z, -1.13596475577881948265e-11, 2.08757232129817482790e-09)
    c = fma(c, z, -2.75573143513906633035e-07)
    c = fma(c, z, 2.48015872894767294178e-05)
    c = fma(c, z, -1.38888888888741095749e-03)
    c = fma(c, z, 4.16666666666666019037e-02)
    half = z * 0.5
    near_one = 1.0 - half
    cosine = near_one + fma(c * z, z, (1.0 - near_one) - half)
    quadrant = rounded + shift
    result = select(has_bit(quadrant, 1), cosine, sine)
    return select(has_bit(quadrant, 2), -result, result)


def scaled_erfc(x: Lanes) -> Lanes:
    """(1 + 2x)·exp(x²)·erfc(x) for x >= 0, a Chebyshev fit in (x - 3.75)/(x + 3.75).

    After Shepherd and Laframboise (1981); the largest error of the fit is 2e-16.
    """
    t = (x - 3.75) / (x + 3.75)
    p = fma(t, -2.623107347133476e-09, -1.9551358868985616e-09)
    p = fma(p, t, 3.197926671666804e-08)
    p = fma(p, t, 1.879082322370048e-08)
    p = fma(p, t, -2.4857126248016745e-07)
    p = fma(p, t, -5.084465378687302e-08)
    p = fma(p, t, 1.7419821586224816e-06)
    p = fma(p, t, -9.792625707303523e-07)
    p = fma(p, t, -1.1438048033346894e-05)
    p = fma(p, t, 2.2387565714911816e-05)
    p = fma(p, t, 5.164652974177416e-05)
    p = fma(p, t, -0.00029015535246077655)
    p = fma(p, t, 0.000293714378044958)
    p = fma(p, t, 0.0017556261651970652)
    p = fma(p, t, -0.009746579683265262)
    p = fma(p, t, 0.02836227737211114)
    p = fma(p, t, -0.05869339857664934)
    p = fma(p, t, 0.09230432116428125)
    p = fma(p, t, -0.10880393014244462)
    p = fma(p, t, 0.08227673848999506)
    p = fma(p, t, 0.0035854154854790257)
    p = fma(p, t, -0.14024059858554525)
    return fma(p, t, 1.2375126308378275)


def bell(x: Lanes) -> tuple[Lanes, Lanes]:
    """c and h of exp(-x²/2) = c·h·h.

    x² is high + low to twice the digits, as exp would multiply the error of a rounded square by
    x²/2: h = exp(-high/4), c = 1 - low/2. In two factors it stays above the smallest normal
    number wherever x·exp(-x²/2) does.
    """
    size = magnitude(x)
    size = select(size > 60.0, 60.0, size)  # where h·h is 0 already
    high = size * size
    low = fma(size, size, -high)
    return fma(low, -0.5, 1.0), exp(high * -0.25)


def tail(x: Lanes) -> Lanes:
    """Φ(-|x|)·exp(x²/2) with the normal distribution function Φ."""
    z = magnitude(x) * SQRT_HALF
    z = select(z > 43.0, 43.0, z)  # so that infinity/infinity is not NaN
    return scaled_erfc(z) / fma(z, 2.0, 1.0) * 0.5
