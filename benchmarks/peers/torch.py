"""PyTorch as it is usually written: modules, autograd, `torch.optim.SGD`, nothing compiled."""

# mypy: disable-error-code="import-not-found, no-untyped-call"

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.cases import CURVE_RATE, CURVE_START, Case, Network, curve_rows, network
from benchmarks.peers import Work

torch.set_num_threads(1)
torch.set_num_interop_threads(1)


def max_margin(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.relu(1.0 - labels * scores).mean()


LOSSES: dict[str, Any] = {
    "mse": F.mse_loss,
    "max_margin": max_margin,
    "cross_entropy": F.cross_entropy,
}


def model_of(net: Network) -> nn.Sequential:
    modules: list[nn.Module] = []
    for weights, bias in net.layers:
        linear = nn.Linear(weights.shape[1], weights.shape[0], dtype=torch.float64)
        linear.weight.data[:] = torch.from_numpy(weights)
        linear.bias.data[:] = torch.from_numpy(bias)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def eager(case: Case, steps: int) -> Work:
    net = network(case, steps)
    loss_of, l2, rates = LOSSES[net.spec.loss.kind], net.spec.loss.l2, net.rates.tolist()
    x, targets = torch.from_numpy(net.x), torch.from_numpy(net.targets)
    if net.spec.loss.kind == "cross_entropy":
        targets = targets.argmax(dim=1)
    batches = list(batches_of(net))

    def work() -> Sequence[float]:
        model = model_of(net)
        parameters = list(model.parameters())
        optimizer = torch.optim.SGD(parameters, lr=rates[0])
        losses = []
        for k, rate in enumerate(rates):
            given, wanted = (x[batches[k]], targets[batches[k]]) if batches else (x, targets)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss = loss_of(model(given), wanted)
            if l2:
                loss = loss + l2 * sum((p * p).sum() for p in parameters)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return work


def batches_of(net: Network) -> Iterator[torch.Tensor]:
    if net.epochs is not None and net.spec.training.batch_size is not None:
        for order in torch.from_numpy(net.epochs):
            yield from order.split(net.spec.training.batch_size)


def curve(case: Case, steps: int) -> Work:
    x, y = map(torch.from_numpy, curve_rows())

    def work() -> Sequence[float]:
        a, b, c, d = parameters = [
            torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in CURVE_START
        ]
        optimizer = torch.optim.SGD(parameters, lr=CURVE_RATE)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            answers = a * torch.sin(b * x) + c * torch.exp(-d * x**2)
            loss = F.mse_loss(answers, y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return work
