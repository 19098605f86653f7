"""The scalar executor: the Value graph, run as it stands.

The graph of a step is loss(example 0) + loss(example 1) + … + penalties. It is built and
differentiated one example at a time, the last one first. That is the order in which `backward()`
on the whole graph would visit them, so every gradient has the bits that the whole graph gives.
But only one example's nodes are in memory at a time, and a slow step can be interrupted between
two examples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from engine.arrays import Array
from engine.autograd.formulas import add_up
from engine.autograd.value import Value
from engine.networks import batch_loss
from engine.training.early_stopping import Patience
from engine.training.evaluation import check_length, finite
from engine.training.executor import Diverged
from engine.training.initialise import build, optimizer
from engine.training.prepared import PreparedTraining, Rows
from engine.training.state import HistoryRow, Scores, TrainingState

SLICE = 0.05
"""Seconds after which the caller gets control again."""

Work = Generator[None, None, tuple[float, Array]]
"""A pass over examples that yields after each of them and returns the loss and the outputs."""

Judging = Generator[None, None, tuple[float | None, float | None]]
"""A pass over examples that yields after each of them and returns the loss and the score."""


class ScalarExecutor:
    """The executor that works on Values; see `engine.training.executor.Executor`."""

    def __init__(self, prepared: PreparedTraining, start: TrainingState | None = None) -> None:
        spec = prepared.spec
        self.prepared = prepared
        self.step = 0
        self.model = build(spec.model, prepared.training.x.shape[1])
        self.parameters = self.model.parameters()
        self.optimizer = optimizer(spec.optimizer, self.parameters)
        self.patience: Patience | None = None
        if spec.training.early_stopping is not None:
            memory = None if start is None else start.patience
            self.patience = Patience(spec.training.early_stopping, memory)
        if start is not None:
            self._resume_from(start)
        self._gradient = self._unzeroed_gradient()
        self._logged: list[HistoryRow] = []
        self._training = Examples(prepared.training)
        self._validation = Examples(prepared.validation) if prepared.validation else None

    def _resume_from(self, start: TrainingState) -> None:
        self.step = start.step
        for p, number in zip(self.parameters, start.parameters.tolist(), strict=True):
            p.data = number
        if start.velocity is not None:
            self.optimizer.velocity = start.velocity.tolist()
        if start.gradient is not None:
            for p, number in zip(self.parameters, start.gradient.tolist(), strict=True):
                p.grad = number

    @property
    def stopped(self) -> bool:
        return self.patience is not None and self.patience.exhausted

    def state(self) -> TrainingState:
        velocity = self.optimizer.velocity
        return TrainingState(
            step=self.step,
            parameters=np.array([p.data for p in self.parameters]),
            velocity=None if velocity is None else np.array(velocity),
            gradient=None if self._gradient is None else np.array(self._gradient),
            patience=None if self.patience is None else self.patience.memory,
        )

    def evaluate(self, parameters: Array) -> Scores:
        check_length(self.prepared, parameters)
        other = ScalarExecutor(self.prepared, TrainingState(step=0, parameters=parameters))
        loss, accuracy = result_of(other._judge(self.prepared.training, other._training))
        validation = result_of(other._validate())
        return Scores(finite(loss), accuracy, finite(validation[0]), validation[1])

    def run(self, until: int) -> Iterator[list[HistoryRow]]:
        due = time.monotonic() + SLICE
        try:
            while self.step < until and not self.stopped:
                for _ in self._take_step():
                    if time.monotonic() >= due:
                        yield self._take_logged()
                        due = time.monotonic() + SLICE
        except Diverged:
            yield self._take_logged()
            raise
        yield self._take_logged()

    def _take_logged(self) -> list[HistoryRow]:
        rows, self._logged = self._logged, []
        return rows

    def _take_step(self) -> Generator[None]:
        """One update, which yields on the way. The state changes only after the last yield."""
        chosen = self.prepared.batches.indices(self.step)
        loss, outputs = yield from self._differentiate(chosen)
        if not math.isfinite(loss):
            raise Diverged(self.step)
        rate = self.prepared.learning_rate(self.step)
        validation_loss = None
        if self.prepared.spec.training.logs(self.step):
            accuracy = self.prepared.score(outputs, self.prepared.training.targets[list(chosen)])
            gradient_norm = self.optimizer.gradient_norm()
            validation_loss, validation_accuracy = yield from self._validate()
            self._logged.append(
                HistoryRow(
                    step=self.step,
                    loss=loss,
                    accuracy=accuracy,
                    validation_loss=finite(validation_loss),
                    validation_accuracy=validation_accuracy,
                    learning_rate=rate,
                    gradient_norm=finite(gradient_norm),
                )
            )
        self.optimizer.step(rate)
        if not all(math.isfinite(p.data) for p in self.parameters):
            raise Diverged(self.step)
        self.step += 1
        self._gradient = self._unzeroed_gradient()
        if self.patience is not None and validation_loss is not None:
            self.patience.look(validation_loss)

    def _differentiate(self, chosen: Sequence[int]) -> Work:
        """The loss and the outputs of the batch, whose gradient is left in the parameters."""
        spec = self.prepared.spec
        if spec.training.zero_grad:
            self.model.zero_grad()
        penalties = self._penalties()
        for penalty in reversed(penalties):
            penalty.backward()
        weight = batch_loss.example_weight(len(chosen), spec.loss.reduction)
        found, outputs = [], []
        for i in reversed(chosen):
            answers = self.model.outputs(self._training.inputs(i))
            loss = self.prepared.loss(answers, self._training.targets[i])
            (loss * weight).backward()
            found.append(loss.data)
            outputs.append([answer.data for answer in answers])
            yield
        return total(found[::-1], weight, penalties), np.array(outputs[::-1])

    def _validate(self) -> Judging:
        """The loss and the score over the validation rows; None where there are none."""
        if self.prepared.validation is None or self._validation is None:
            return None, None
        return (yield from self._judge(self.prepared.validation, self._validation))

    def _judge(self, rows: Rows, examples: Examples) -> Judging:
        """The loss and the score over all of the rows."""
        found, outputs = [], []
        for i in range(len(rows)):
            answers = self.model.outputs(examples.inputs(i))
            found.append(self.prepared.loss(answers, examples.targets[i]).data)
            outputs.append([answer.data for answer in answers])
            yield
        weight = batch_loss.example_weight(len(rows), self.prepared.spec.loss.reduction)
        loss = total(found, weight, self._penalties())
        return loss, self.prepared.score(np.array(outputs), rows.targets)

    def _penalties(self) -> list[Value]:
        spec = self.prepared.spec.loss
        return [
            penalty(self.parameters, strength)
            for penalty, strength in ((batch_loss.l2, spec.l2), (batch_loss.l1, spec.l1))
            if strength > 0.0
        ]

    def _unzeroed_gradient(self) -> list[float] | None:
        # Without zero_grad the sum so far belongs to the state. It is copied, because in the
        # middle of a step the parameters already hold gradients of some of its examples.
        if self.prepared.spec.training.zero_grad:
            return None
        return [p.grad for p in self.parameters]


class Examples:
    """Rows as Python numbers, because NumPy's scalars would slow every operation down."""

    def __init__(self, rows: Rows) -> None:
        self.x: list[list[float]] = rows.x.tolist()
        self.targets: list[list[float]] = rows.targets.tolist()

    def inputs(self, i: int) -> list[Value]:
        return [Value(number) for number in self.x[i]]


def total(found: Sequence[float], weight: float, penalties: Sequence[Value]) -> float:
    """The loss of a batch, summed in the order of its graph: the examples, then the penalties."""
    loss = add_up(found) * weight
    for penalty in penalties:
        loss += penalty.data
    return loss


def result_of(judging: Judging) -> tuple[float | None, float | None]:
    """The loss and the score that a pass returns at its end."""
    while True:
        try:
            next(judging)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
