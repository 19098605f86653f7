"""The same numbers and gradients as PyTorch, if that is installed (`make test-torch`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine import Value
from engine.autograd.value import log_sum_exp, softmax
from engine.spec.loss import FORMULAS, huber
from engine.train import train
from engine.training.initialise import build
from engine.training.prepared import prepare
from tests.engine.specs import SMALL, job, vary

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional

OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[tuple[float, ...]]]] = {
    "+": (lambda a, b: a + b, lambda a, b: a + b, [(1.5, -2.0)]),
    "-": (lambda a, b: a - b, lambda a, b: a - b, [(1.5, -2.0)]),
    "*": (lambda a, b: a * b, lambda a, b: a * b, [(1.5, -2.0)]),
    "/": (lambda a, b: a / b, lambda a, b: a / b, [(1.5, -2.0)]),
    "**": (lambda a, b: a**b, lambda a, b: a**b, [(1.5, -2.0), (0.0, 2.0), (0.0, 0.0)]),
    "**0": (lambda a: a**0, lambda a: a**0, [(0.0,), (2.0,)]),
    "**0.5": (lambda a: a**0.5, lambda a: a**0.5, [(0.0,), (2.0,)]),
    "2**": (lambda a: 2**a, lambda a: 2**a, [(3.0,), (-0.2,)]),
    "exp": (Value.exp, lambda a: a.exp(), [(1.0,), (-30.0,), (1000.0,)]),
    "log": (Value.log, lambda a: a.log(), [(1.0,), (1e-6,)]),
    "sqrt": (Value.sqrt, lambda a: a.sqrt(), [(4.0,), (0.0,)]),
    "sin": (Value.sin, lambda a: a.sin(), [(1.0,)]),
    "cos": (Value.cos, lambda a: a.cos(), [(1.0,)]),
    "tanh": (Value.tanh, lambda a: a.tanh(), [(-1.0,), (1000.0,)]),
    "sigmoid": (Value.sigmoid, lambda a: a.sigmoid(), [(-1.0,), (1000.0,), (-1000.0,)]),
    "softplus": (Value.softplus, F.softplus, [(-1.0,), (1000.0,), (-1000.0,)]),
    "relu": (Value.relu, lambda a: a.relu(), [(-1.0,), (0.0,), (2.0,)]),
    "leaky_relu": (Value.leaky_relu, F.leaky_relu, [(-1.0,), (0.0,), (2.0,)]),
    "gelu": (Value.gelu, F.gelu, [(-1.0,), (0.0,), (2.0,), (-1000.0,)]),
    "abs": (abs, lambda a: a.abs(), [(-1.0,), (0.0,), (2.0,)]),
    "maximum": (Value.maximum, lambda a, b: torch.maximum(a, b), [(1.0, 2.0), (2.0, 2.0)]),
    "logsumexp": (
        lambda *xs: log_sum_exp(xs),
        lambda *xs: torch.logsumexp(torch.stack(xs), 0),
        [(1.0, -2.0, 0.5), (1000.0, -1000.0, 1000.0)],
    ),
    "softmax": (
        lambda *xs: softmax(xs)[0],
        lambda *xs: torch.softmax(torch.stack(xs), 0)[0],
        [(1.0, -2.0, 0.5), (1000.0, -1000.0, 1000.0)],
    ),
}


def tensor(number: float) -> Any:
    return torch.tensor(number, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_ties_and_edges(name: str) -> None:
    ours, theirs, points = OPERATIONS[name]
    for point in points:
        leaves, tensors = [Value(x) for x in point], [tensor(x) for x in point]
        root, expected = ours(*leaves), theirs(*tensors)
        root.backward()
        expected.backward()
        assert root.data == pytest.approx(expected.item(), rel=1e-12, abs=1e-300)
        gradients = [t.grad.item() for t in tensors]
        assert [leaf.grad for leaf in leaves] == pytest.approx(gradients, rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("output", [-30.0, -1.0, -0.2, 0.0, 0.7, 2.0, 50.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_losses(output: float, label: float) -> None:
    pairs: list[tuple[Any, Any]] = [
        (FORMULAS["mse"], F.mse_loss),
        (FORMULAS["mae"], F.l1_loss),
        (FORMULAS["huber"], F.huber_loss),
        (lambda o, t: huber(o, t, delta=0.3), lambda o, t: F.huber_loss(o, t, delta=0.3)),
        (FORMULAS["binary_cross_entropy"], F.binary_cross_entropy_with_logits),
    ]
    for ours, theirs in pairs:
        leaf, logit = Value(output), tensor(output)
        loss = ours([leaf], [label])
        expected = theirs(logit, torch.tensor(label, dtype=torch.float64))
        loss.backward()
        expected.backward()
        # PyTorch's own cross entropy cancels where it is almost 0.
        assert loss.data == pytest.approx(expected.item(), rel=1e-12, abs=1e-14)
        assert leaf.grad == pytest.approx(logit.grad.item(), rel=1e-12, abs=1e-14)


def test_cross_entropy() -> None:
    numbers = [0.3, -1.2, 2.0]
    leaves, logits = [Value(x) for x in numbers], torch.tensor(numbers, dtype=torch.float64)
    logits.requires_grad = True
    loss = FORMULAS["cross_entropy"](leaves, [0.0, 0.0, 1.0])
    expected = F.cross_entropy(logits, torch.tensor(2))
    loss.backward()
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-14)
    assert [leaf.grad for leaf in leaves] == pytest.approx(logits.grad.tolist(), rel=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0.1},
        {"learning_rate": 0.1, "momentum": 0.9},
        {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "clip_norm": 0.1},
        {"learning_rate": {"kind": "cosine", "start": 0.3, "end": 0.1}, "momentum": 0.5},
    ],
    ids=["plain", "momentum", "nesterov-clipped", "cosine"],
)
def test_twenty_steps_of_sgd(options: dict[str, Any]) -> None:
    spec = job(vary(SMALL, optimizer=options))
    prepared, model = prepare(spec), build(spec.model, 2)
    net = torch.nn.Sequential(
        torch.nn.Linear(2, 4, dtype=torch.float64),
        torch.nn.Tanh(),
        torch.nn.Linear(4, 1, dtype=torch.float64),
    )
    with torch.no_grad():
        for linear, layer in zip((net[0], net[2]), model.layers, strict=True):
            weights = [[w.data for w in neuron.w] for neuron in layer.neurons]
            linear.weight[:] = torch.tensor(weights, dtype=torch.float64)
            linear.bias[:] = torch.tensor([n.b.data for n in layer.neurons], dtype=torch.float64)
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=1.0,
        momentum=spec.optimizer.momentum,
        nesterov=spec.optimizer.nesterov,
    )
    rate = spec.optimizer.learning_rate
    x, y = torch.tensor(prepared.training.x), torch.tensor(prepared.training.targets)
    losses = []
    for k in range(20):
        optimizer.param_groups[0]["lr"] = rate.rate(k, 20)
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(net(x), y)
        loss.backward()
        if spec.optimizer.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), spec.optimizer.clip_norm)
        optimizer.step()
        losses.append(loss.item())
    ours = [row.loss for progress in train(spec) for row in progress.rows]
    assert ours == pytest.approx(losses, rel=1e-12)
