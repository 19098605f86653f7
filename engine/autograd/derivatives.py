"""How each operation hands its gradient to its operands: one function an operation.

A rule takes the node that the operation made. It reads the node's `grad` and adds to the
`grad` of the operands in `_prev`, never overwrites it: an operand may be used elsewhere too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.autograd import formulas

if TYPE_CHECKING:
    from engine.autograd.value import Value

INVERSE_SQRT_TAU = 1.0 / math.sqrt(2.0 * math.pi)


def leaf(out: Value) -> None:
    pass


def add(out: Value) -> None:
    a, b = out._prev
    g = out.grad
    a.grad += g
    b.grad += g


def mul(out: Value) -> None:
    a, b = out._prev
    g = out.grad
    a.grad += b.data * g
    b.grad += a.data * g


def div(out: Value) -> None:
    a, b = out._prev
    g = out.grad / b.data
    a.grad += g
    b.grad -= g * out.data


def pow(out: Value) -> None:
    base, exponent = out._prev
    x, y, g = base.data, exponent.data, out.grad
    if y != 0.0:
        base.grad += g * y * power_slope(x, y)
    if x > 0.0:
        exponent.grad += g * out.data * math.log(x)
    elif not (x == 0.0 and y >= 0.0):
        exponent.grad += math.nan


def pow_constant(out: Value) -> None:
    (base,) = out._prev
    y = out._arg
    if y != 0.0:
        base.grad += out.grad * y * power_slope(base.data, y)


def power_slope(x: float, y: float) -> float:
    """x**(y - 1); infinity at zero for exponents below one, as the limit is."""
    return math.inf if x == 0.0 and y < 1.0 else formulas.power(x, y - 1.0)


def exp(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.data * out.grad


def log(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.grad / a.data


def sqrt(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.grad / (2.0 * out.data) if out.data else out.grad * math.inf


def sin(out: Value) -> None:
    (a,) = out._prev
    a.grad += formulas.cos(a.data) * out.grad


def cos(out: Value) -> None:
    (a,) = out._prev
    a.grad -= formulas.sin(a.data) * out.grad


def tanh(out: Value) -> None:
    (a,) = out._prev
    a.grad += (1.0 - out.data * out.data) * out.grad


def sigmoid(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.data * (1.0 - out.data) * out.grad


def softplus(out: Value) -> None:
    (a,) = out._prev
    a.grad += formulas.sigmoid(a.data) * out.grad


def relu(out: Value) -> None:
    if out.data > 0.0:
        out._prev[0].grad += out.grad


def leaky_relu(out: Value) -> None:
    (a,) = out._prev
    a.grad += out.grad if a.data > 0.0 else out._arg * out.grad


def gelu(out: Value) -> None:
    (a,) = out._prev
    x = a.data
    density = INVERSE_SQRT_TAU * formulas.exp(-0.5 * x * x)
    a.grad += (formulas.normal_cdf(x) + x * density) * out.grad


def abs(out: Value) -> None:
    (a,) = out._prev
    if a.data > 0.0:
        a.grad += out.grad
    elif a.data < 0.0:
        a.grad -= out.grad


def log_sum_exp(out: Value) -> None:
    for a in out._prev:
        a.grad += formulas.exp(a.data - out.data) * out.grad


def maximum(out: Value) -> None:
    a, b = out._prev
    if a.data == b.data:
        a.grad += 0.5 * out.grad
        b.grad += 0.5 * out.grad
    elif a.data > b.data:
        a.grad += out.grad
    else:
        b.grad += out.grad
