"""One expression in both engines: as Values, and recorded and run by the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine import Value
from engine.arrays import Array
from engine.compiler.record import record
from engine.native.function import NativeFunction

Expression = Callable[[Sequence[Value], Sequence[Value]], Value]
"""A function from parameters and inputs to a loss."""


@dataclass
class Both:
    """The loss of each example and the gradient of their sum, from both engines."""

    losses: Array
    native_losses: Array
    gradient: Array
    native_gradient: Array
    scale: Array
    """The sum of the absolute gradients of the examples, to which rounding is relative."""

    def agree(self, tolerance: float = 1e-12) -> bool:
        """Whether losses and gradients agree relative to the sum of absolute terms."""
        loss_scale = np.maximum(np.abs(self.losses), 1e-300)
        gradient_scale = np.maximum(self.scale, 1e-300)
        return bool(
            np.all(np.abs(self.losses - self.native_losses) <= tolerance * loss_scale)
            and np.all(np.abs(self.gradient - self.native_gradient) <= tolerance * gradient_scale)
        )


def run_both(
    expression: Expression, parameters: Sequence[float], rows: Sequence[Sequence[float]]
) -> Both:
    """Runs an expression at `parameters` over `rows` of inputs."""
    losses, gradients = [], []
    for row in rows:
        leaves = [Value(p) for p in parameters]
        root = expression(leaves, [Value(x) for x in row])
        root.backward()
        losses.append(root.data)
        gradients.append([leaf.grad for leaf in leaves])
    native = native_function(expression, parameters, rows)
    return Both(
        np.array(losses),
        native.losses(parameters),
        np.sum(gradients, axis=0),
        native.gradient(parameters),
        np.sum(np.abs(gradients), axis=0),
    )


def native_function(
    expression: Expression, parameters: Sequence[float], rows: Sequence[Sequence[float]]
) -> NativeFunction:
    """The native function of an expression, recorded on the first row."""
    leaves, inputs = [Value(p) for p in parameters], [Value(x) for x in rows[0]]
    program = record(expression(leaves, inputs), leaves, inputs)
    return NativeFunction(program, np.array(rows, np.float64).reshape(len(rows), len(inputs)))
