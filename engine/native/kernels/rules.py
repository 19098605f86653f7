"""The formula of each elementwise operation and its derivative rule, on eight lanes at once.

The counterpart of the scalar engine's rules, operation by operation, with the same ties and
subgradients. The functions of an operation are named after its line in
`engine.compiler.operations`: `name(x)` is the forward formula, and `name_rule(x, y, g)` is the
gradient of its operand x when its result y has the gradient g. An operation of two operands has
`name_left_rule(a, b, y, g)` and `name_right_rule`. Rules of operations that may run in place
(the result over the operand) look at y alone.

The functions are written here instead of taken from a library because they must give the same
bits with every register width, and be inlined into the loops. `exp`, `log` and other
approximations are in `kernels.approximations`.
"""

from __future__ import annotations

import math

from engine.native.kernels.approximations import (
    LARGEST_ANGLE,
    bell,
    exp,
    expm1_reduced,
    log,
    multiple_of_ln2,
    rest_of_ln2,
    sine_or_cosine,
    tail,
)
from engine.native.lanes.control import if_else
from engine.native.lanes.float_bits import ROUNDER, power_of_two
from engine.native.lanes.values import Lanes, Number
from engine.native.lanes.vectors import (
    anywhere,
    copy_sign,
    fma,
    magnitude,
    per_lane,
    select,
    square_root,
)

NAN = math.nan
INVERSE_SQRT_TAU = 1.0 / math.sqrt(2.0 * math.pi)


# Exponentials.


def exp_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * y


def tanh(x: Lanes) -> Lanes:
    """e/(e + 2) with e = exp(2|x|) - 1, which keeps small x exact."""
    size = magnitude(x) * 2.0
    size = select(size > 44.0, 44.0, size)
    rounded = multiple_of_ln2(size)
    scale = power_of_two(rounded)
    e = fma(expm1_reduced(rest_of_ln2(size, rounded - ROUNDER)), scale, scale - 1.0)
    return copy_sign(e / (e + 2.0), x)


def tanh_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * (1.0 - y * y)


def sigmoid(x: Lanes) -> Lanes:
    e = exp(-magnitude(x))
    return select(x >= 0.0, 1.0, e) / (e + 1.0)


def sigmoid_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * (y * (1.0 - y))


def softplus(x: Lanes) -> Lanes:
    u = exp(-magnitude(x))
    # log1p(u): what rounding 1 + u lost is added to the logarithm.
    s = u + 1.0
    lost = u - (s - 1.0)
    return select(x < 0.0, 0.0, x) + (log(s) + lost / s)


def softplus_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * sigmoid(x)


# Logarithm and root.


def log_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g / x


def sqrt(x: Lanes) -> Lanes:
    return square_root(x)


def sqrt_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    # 0 times an infinite slope is 0: nothing depends on this number, or its lane is padding.
    return select(g == 0.0, 0.0, g / (y + y))


# Sine and cosine.


def sin(x: Lanes) -> Lanes:
    return if_else(
        anywhere(magnitude(x) > LARGEST_ANGLE),
        lambda: per_lane("sin", x),
        lambda: sine_or_cosine(x, 0.0),
    )


def cos(x: Lanes) -> Lanes:
    return if_else(
        anywhere(magnitude(x) > LARGEST_ANGLE),
        lambda: per_lane("cos", x),
        lambda: sine_or_cosine(x, 1.0),
    )


def sin_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * cos(x)


def cos_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * -sin(x)


# Activations with corners, and gelu.


def relu(x: Lanes) -> Lanes:
    # Written so that NaN stays NaN.
    return select(x < 0.0, 0.0, x)


def relu_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return select(y > 0.0, g, 0.0)


def abs(x: Lanes) -> Lanes:
    return magnitude(x)


def abs_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return select(x > 0.0, g, select(x < 0.0, -g, 0.0))


def leaky_relu(x: Lanes, slope: Number) -> Lanes:
    return select(x > 0.0, x, x * slope)


def leaky_relu_rule(x: Lanes, y: Lanes, g: Lanes, slope: Number) -> Lanes:
    return select(x > 0.0, g, g * slope)


def gelu(x: Lanes) -> Lanes:
    """x·Φ(x), Φ from the side where it is small."""
    c, h = bell(x)
    t = tail(x) * c
    # From left to right, so that a result below the normal range is rounded once.
    return select(x > 0.0, x * (1.0 - t * h * h), t * h * x * h)


def gelu_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:
    """The slope is Φ(x) + x·φ(x)."""
    c, h = bell(x)
    t, density = tail(x) * c, c * INVERSE_SQRT_TAU
    right = fma(x * density * h, h, 1.0 - t * h * h)
    return g * select(x > 0.0, right, fma(x, density, t) * h * h)


# Powers: number by number in the C library, which knows all the cases.


def power(x: Lanes, exponent: Lanes) -> Lanes:
    return per_lane("pow", x, exponent)


def constant_power(x: Lanes, exponent: Number) -> Lanes:
    return power(x, Lanes.of(exponent))


def constant_power_rule(x: Lanes, y: Lanes, g: Lanes, exponent: Number) -> Lanes:
    return power_left_rule(x, Lanes.of(exponent), y, g)


# Operations of two operands: one rule per operand.


def power_left_rule(x: Lanes, exponent: Lanes, y: Lanes, g: Lanes) -> Lanes:
    slope = select(exponent == 0.0, 0.0, power(x, exponent - 1.0) * exponent)
    return select(g == 0.0, 0.0, g * slope)  # see sqrt_rule


def power_right_rule(x: Lanes, exponent: Lanes, y: Lanes, g: Lanes) -> Lanes:
    at_zero = select(x == 0.0, select(exponent >= 0.0, 0.0, NAN), NAN)
    return select(x > 0.0, g * (y * log(x)), at_zero)


def multiply(a: Lanes, b: Lanes) -> Lanes:
    return a * b


def multiply_left_rule(a: Lanes, b: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * b


def multiply_right_rule(a: Lanes, b: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g * a


def divide(a: Lanes, b: Lanes) -> Lanes:
    return a / b


def divide_left_rule(a: Lanes, b: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return g / b


def divide_right_rule(a: Lanes, b: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return -(g / b * y)


def maximum(a: Lanes, b: Lanes) -> Lanes:
    # NaN on either side gives NaN.
    return select(b > a, b, select(a == a, select(b == b, a, b), a))


def maximum_left_rule(a: Lanes, b: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return select(a > b, g, select(a == b, g * 0.5, 0.0))


def maximum_right_rule(a: Lanes, b: Lanes, y: Lanes, g: Lanes) -> Lanes:
    return select(a > b, 0.0, select(a == b, g * 0.5, g))
