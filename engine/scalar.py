"""The scalar executor: the Value graph, run as it stands.

The graph of a step is loss(example 0) + loss(example 1) + … + penalties. It is built and
differentiated one example after the other, last example first: the order in which
`backward()` on the whole graph would visit them, so every gradient has the bits that the
whole graph gives, while only one example's nodes are in memory and a slow step can be left
between two examples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from engine import losses
from engine.nn import build
from engine.optim import SGD
from engine.problem import Problem
from engine.progress import Diverged, HistoryRow, State
from engine.value import Value

SLICE = 0.05
"""Seconds between two looks outside."""


@dataclass
class Batch:
    """What the examples of one step gave, last example first."""

    losses: list[float] = field(default_factory=list)
    outputs: list[list[float]] = field(default_factory=list)
    penalty: float | None = None

    def loss(self, reduction: str) -> float:
        """The loss of the step, summed as the whole graph sums it: first example first."""
        total = sum(reversed(self.losses))
        total *= losses.example_weight(len(self.losses), reduction)
        return total if self.penalty is None else total + self.penalty


class ScalarExecutor:
    """Takes steps on Values; see `engine.progress.Executor`."""

    def __init__(self, problem: Problem, start: State | None = None) -> None:
        self.problem = problem
        self.step = 0
        self.model = build(problem.spec.model, problem.x.shape[1])
        self.parameters = self.model.parameters()
        self.optimizer = SGD(self.parameters)
        if start is not None:
            self.step = start.step
            for p, number in zip(self.parameters, start.parameters.tolist(), strict=True):
                p.data = number
            if start.gradient is not None:
                for p, number in zip(self.parameters, start.gradient.tolist(), strict=True):
                    p.grad = number
        self._gradient: list[float] | None = None
        self._keep_gradient()
        self._rows: list[list[float]] = problem.x.tolist()
        self._targets: list[list[float]] = problem.targets.tolist()

    def state(self) -> State:
        return State(
            step=self.step,
            parameters=np.array([p.data for p in self.parameters]),
            gradient=None if self._gradient is None else np.array(self._gradient),
        )

    def run(self, until: int) -> Iterator[list[HistoryRow]]:
        training, reduction = self.problem.spec.training, self.problem.spec.loss.reduction
        rows: list[HistoryRow] = []
        due = time.monotonic() + SLICE
        while self.step < until:
            batch = Batch()
            for _ in self._differentiate(batch):
                if time.monotonic() >= due:
                    yield rows
                    rows = []
                    due = time.monotonic() + SLICE
            loss = batch.loss(reduction)
            if not math.isfinite(loss):
                yield rows
                raise Diverged(self.step)
            rate = self.problem.learning_rate(self.step)
            if training.logs(self.step):
                rows.append(self._row(batch, loss, rate))
            self.optimizer.step(rate)
            if not all(math.isfinite(p.data) for p in self.parameters):
                yield rows
                raise Diverged(self.step)
            self.step += 1
            self._keep_gradient()
        yield rows

    def _differentiate(self, batch: Batch) -> Iterator[None]:
        """Fills `batch` and the parameters' gradients, example by example."""
        spec = self.problem.spec
        if spec.training.zero_grad:
            self.model.zero_grad()
        if spec.loss.l2 > 0.0:
            penalty = losses.l2(self.parameters, spec.loss.l2)
            penalty.backward()
            batch.penalty = penalty.data
        weight = losses.example_weight(len(self._rows), spec.loss.reduction)
        for row, target in zip(reversed(self._rows), reversed(self._targets), strict=True):
            outputs = self.model.outputs([Value(number) for number in row])
            loss = self.problem.loss(outputs, target)
            (loss * weight).backward()
            batch.losses.append(loss.data)
            batch.outputs.append([output.data for output in outputs])
            yield

    def _keep_gradient(self) -> None:
        # Without zero_grad the sum so far belongs to the state; in the middle of a step it
        # already holds some of the next step's examples, hence a copy.
        if not self.problem.spec.training.zero_grad:
            self._gradient = [p.grad for p in self.parameters]

    def _row(self, batch: Batch, loss: float, rate: float) -> HistoryRow:
        outputs = np.array(batch.outputs[::-1])
        norm = math.sqrt(sum(p.grad * p.grad for p in self.parameters))
        return HistoryRow(
            step=self.step,
            loss=loss,
            accuracy=self.problem.score(outputs, self.problem.targets),
            validation_loss=None,
            validation_accuracy=None,
            learning_rate=rate,
            gradient_norm=norm if math.isfinite(norm) else None,
        )
