"""micrograd, with the loss of its demo notebook."""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from micrograd.engine import Value
from micrograd.nn import MLP

from benchmarks.cases import Case, network
from benchmarks.peers import Work


def demo(case: Case, steps: int) -> Work:
    net = network(case, steps)
    X, y = net.x, net.targets[:, 0].astype(int)
    start = [row for weights, bias in net.layers for row in zip(weights, bias, strict=True)]

    def loss(model: Any) -> Any:
        inputs = [list(map(Value, xrow)) for xrow in X]
        scores = list(map(model, inputs))
        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        alpha = 1e-4
        reg_loss = alpha * sum(p * p for p in model.parameters())
        return data_loss + reg_loss

    def work() -> Sequence[float]:
        model = MLP(2, [16, 16, 1])
        neurons = [neuron for layer in model.layers for neuron in layer.neurons]
        for neuron, (weights, bias) in zip(neurons, start, strict=True):
            for w, number in zip(neuron.w, weights.tolist(), strict=True):
                w.data = number
            neuron.b.data = float(bias)
        losses = []
        for rate in net.rates.tolist():
            total_loss = loss(model)
            model.zero_grad()
            total_loss.backward()
            for p in model.parameters():
                p.data -= rate * p.grad
            losses.append(float(total_loss.data))
        return losses

    return work
