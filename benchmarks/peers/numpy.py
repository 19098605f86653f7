"""NumPy: the moons demo with its gradients written by hand, and the rate of a matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cases import Case, Network, network
from benchmarks.peers import Work

SIZE = 768
"""Rows and columns of the matrices that dgemm multiplies; larger ones are no faster."""


def by_hand(case: Case, steps: int) -> Work:
    """Two hidden relu layers, one linear output, max-margin loss with l2."""
    net = network(case, steps)
    x, labels, l2, rates = net.x, net.targets, net.spec.loss.l2, net.rates.tolist()
    share = labels / len(x)

    def work() -> Sequence[float]:
        (w1, b1), (w2, b2), (w3, b3) = [(w.T.copy(), b.copy()) for w, b in net.layers]
        parameters = (w1, b1, w2, b2, w3, b3)
        losses = []
        for rate in rates:
            h1 = np.maximum(x @ w1 + b1, 0.0)
            h2 = np.maximum(h1 @ w2 + b2, 0.0)
            margins = 1.0 - labels * (h2 @ w3 + b3)
            penalty = sum(np.vdot(p, p) for p in parameters)
            losses.append(np.maximum(margins, 0.0).mean() + l2 * penalty)
            g3 = np.where(margins > 0.0, -share, 0.0)
            g2 = (g3 @ w3.T) * (h2 > 0.0)
            g1 = (g2 @ w2.T) * (h1 > 0.0)
            gradients = (
                x.T @ g1, g1.sum(axis=0), h1.T @ g2, g2.sum(axis=0), h2.T @ g3, g3.sum(axis=0),
            )  # fmt: skip
            for p, g in zip(parameters, gradients, strict=True):
                p -= rate * (g + 2.0 * l2 * p)
        return [float(loss) for loss in losses]

    return work


def products(case: Case, steps: int) -> Work:
    """The floating-point operations of the steps, performed on large matrices."""
    whole, rest = divmod(steps * flops(network(case, steps)), 2 * SIZE**3)
    a, b = np.random.RandomState(1337).normal(size=(2, SIZE, SIZE))
    part = np.asfortranarray(b[:, : rest // (2 * SIZE**2)])

    def work() -> Sequence[float]:
        for _ in range(whole):
            np.dot(a, b)
        np.dot(a, part)
        return []

    return work


def flops(net: Network) -> int:
    """Multiplications and additions of the matrix products of one step.

    Every layer has an output and a weight gradient, all but the first an input gradient.
    """
    sizes = [weights.size for weights, _ in net.layers]
    return 2 * len(net.x) * (3 * sum(sizes) - sizes[0])
