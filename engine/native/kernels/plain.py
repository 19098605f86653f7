"""The matrix products of `kernels.products` in plain loops over arrays.

Nothing runs these in earnest. They are what the register tiles compute, in the form in which a
reader can check it; tests hold the tiles against them.

Shapes: weights M × K, bias M, x K × examples, y M × examples; g… are gradients.
"""

from __future__ import annotations

from engine.arrays import Array


def outputs(y: Array, weights: Array, bias: Array, x: Array, floor: float) -> None:
    """y = max(floor, W·x + bias)."""
    for m in range(y.shape[0]):
        for example in range(y.shape[1]):
            result = bias[m]
            for k in range(x.shape[0]):
                result += weights[m, k] * x[k, example]
            y[m, example] = floor if floor > result else result


def input_gradients(gx: Array, weights: Array, gy: Array) -> None:
    """gx = Wᵀ·gy."""
    for k in range(gx.shape[0]):
        for example in range(gx.shape[1]):
            result = 0.0
            for m in range(gy.shape[0]):
                result += weights[m, k] * gy[m, example]
            gx[k, example] = result


def weight_gradients(gw: Array, gbias: Array, gy: Array, x: Array) -> None:
    """gW += gy·xᵀ, gbias += the sums of gy."""
    for m in range(gy.shape[0]):
        for example in range(gy.shape[1]):
            gbias[m] += gy[m, example]
            for k in range(x.shape[0]):
                gw[m, k] += gy[m, example] * x[k, example]
