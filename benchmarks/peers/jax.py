"""JAX: the step compiled and called from Python, or the whole loop compiled into one program.

Of the layouts tried (batches as rows or as columns, weights as units × inputs or turned
around) the one that was fastest: weights as they are, examples last.
"""

# mypy: disable-error-code="import-not-found, no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.cases import CURVE_RATE, CURVE_START, Case, Network, curve_rows, network
from benchmarks.peers import Work

jax.config.update("jax_enable_x64", True)
# Otherwise a second thread computes while Python's thread prepares the next step.
jax.config.update("jax_cpu_enable_async_dispatch", False)


def outputs(layers: Any, x: Any) -> Any:
    for weights, bias in layers[:-1]:
        x = jnp.maximum(weights @ x + bias[:, None], 0.0)
    weights, bias = layers[-1]
    return weights @ x + bias[:, None]


def mse(answers: Any, targets: Any) -> Any:
    return ((answers - targets) ** 2).mean()


def max_margin(answers: Any, targets: Any) -> Any:
    return jnp.maximum(1.0 - targets * answers, 0.0).mean()


def cross_entropy(answers: Any, targets: Any) -> Any:
    return (jax.nn.logsumexp(answers, axis=0) - (targets * answers).sum(axis=0)).mean()


LOSSES = {"mse": mse, "max_margin": max_margin, "cross_entropy": cross_entropy}


def descent(net: Network) -> Any:
    """(layers, rate, x, targets) → (layers after a step, loss before it)."""
    data_loss, l2 = LOSSES[net.spec.loss.kind], net.spec.loss.l2

    def loss(layers: Any, x: Any, targets: Any) -> Any:
        penalty = l2 * sum((p * p).sum() for layer in layers for p in layer) if l2 else 0.0
        return data_loss(outputs(layers, x), targets) + penalty

    def step(layers: Any, rate: Any, x: Any, targets: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(layers, x, targets)
        return jax.tree.map(lambda p, g: p - rate * g, layers, gradient), value

    return step


def compiled_loop(case: Case, steps: int) -> Work:
    net = network(case, steps)
    step = descent(net)
    x, targets, rates = jnp.array(net.x.T), jnp.array(net.targets.T), jnp.array(net.rates)

    def full_batch(layers: Any, rate: Any) -> Any:
        return step(layers, rate, x, targets)

    def mini_batch(layers: Any, given: Any) -> Any:
        rate, rows = given
        return step(layers, rate, x[:, rows], targets[:, rows])

    def epoch(layers: Any, given: Any) -> Any:
        rates, order = given
        size = net.spec.training.batch_size or len(net.x)
        whole = len(order) // size
        batches = order[: whole * size].reshape(whole, size)
        layers, losses = lax.scan(mini_batch, layers, (rates[:whole], batches))
        if whole < len(rates):
            layers, last = mini_batch(layers, (rates[whole], order[whole * size :]))
            losses = jnp.append(losses, last)
        return layers, losses

    if net.epochs is None:
        run = jax.jit(lambda layers: lax.scan(full_batch, layers, rates)[1])
    else:
        given = rates.reshape(len(net.epochs), -1), jnp.array(net.epochs)
        run = jax.jit(lambda layers: lax.scan(epoch, layers, given)[1].ravel())

    def work() -> Sequence[float]:
        losses: list[float] = np.asarray(run(net.layers)).tolist()
        return losses

    return work


def compiled_step(case: Case, steps: int) -> Work:
    net = network(case, steps)
    x, targets, rates = jnp.array(net.x.T), jnp.array(net.targets.T), net.rates.tolist()
    step = jax.jit(descent(net))

    def work() -> Sequence[float]:
        layers, losses = net.layers, []
        for rate in rates:
            layers, loss = step(layers, rate, x, targets)
            losses.append(loss)
        return [float(loss) for loss in losses]

    return work


def curve(case: Case, steps: int) -> Work:
    x, y = map(jnp.array, curve_rows())

    def loss(p: Any) -> Any:
        a, b, c, d = p
        return ((a * jnp.sin(b * x) + c * jnp.exp(-d * x**2) - y) ** 2).mean()

    def step(p: Any, _: None) -> Any:
        value, gradient = jax.value_and_grad(loss)(p)
        return tuple(q - CURVE_RATE * g for q, g in zip(p, gradient, strict=True)), value

    run = jax.jit(lambda p: lax.scan(step, p, None, length=steps)[1])

    def work() -> Sequence[float]:
        losses: list[float] = np.asarray(run(CURVE_START)).tolist()
        return losses

    return work
