"""gradserve itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cases import CURVE_RATE, CURVE_START, Case, curve_rows, specify
from benchmarks.peers import Work
from engine import Value, native
from engine.compiler.record import record
from engine.native.function import NativeFunction
from engine.native.records import LOSS, no_progress
from engine.native.training_loop import run
from engine.native.window import step_arrays
from engine.train import train
from engine.training.initialise import build
from engine.training.prepared import prepare

DEMO = 100
"""Steps of micrograd's demo."""

native.warm_up()


def train_natively(case: Case, steps: int) -> Work:
    return training(case, steps, "native")


def train_on_values(case: Case, steps: int) -> Work:
    return training(case, steps, "scalar")


def training(case: Case, steps: int, executor: str) -> Work:
    """A call of `engine.train.train` with everything it does, from data to history."""
    spec = specify(case, steps, executor)

    def work() -> Sequence[float]:
        return [row.loss for progress in train(spec) for row in progress.rows]

    return work


def demo(case: Case, steps: int) -> Work:
    """The first DEMO steps again and again, without what precedes the first one."""
    length = min(steps, DEMO)
    prepared = prepare(specify(case, length))
    workspace = native.make_executor(prepared).workspace
    window = step_arrays(prepared, 0, length)
    start = workspace.slots.copy()

    def work() -> Sequence[float]:
        for _ in range(steps // length):
            workspace.slots[:] = start
            run(workspace.record, *window, no_progress(length), length)
        losses: list[float] = window.history[LOSS].tolist()
        return losses

    return work


def steps_alone(case: Case, steps: int) -> Work:
    """Steps without what precedes the first one; every call continues the training."""
    endless = case | {"training": case["training"] | {"log_every": 1}}
    executor = native.make_executor(prepare(specify(endless, 1_000_000)))

    def work() -> Sequence[float]:
        return [row.loss for rows in executor.run(executor.step + steps) for row in rows]

    return work


def jobs(case: Case, count: int) -> Work:
    """Whole jobs of 20 steps; one step of this series is one job."""
    spec = specify(case, 20)

    def work() -> Sequence[float]:
        for _ in range(count):
            for progress in train(spec):
                last = progress.rows[-1].loss
        return [last]

    return work


def curve(case: Case, steps: int) -> Work:
    """A graph that a user might write: recorded once, then run by the kernels."""
    x, y = curve_rows()
    a, b, c, d = parameters = [Value(number) for number in CURVE_START]
    at, target = Value(float(x[0])), Value(float(y[0]))
    answer = a * (b * at).sin() + c * (-d * at**2).exp()
    program = record((answer - target) ** 2, parameters, [at, target])
    function = NativeFunction(program, np.stack([x, y], axis=1), mean=True)

    def work() -> Sequence[float]:
        losses: list[float] = function.descend(CURVE_START, [CURVE_RATE] * steps)[1].tolist()
        return losses

    return work


def recordings(case: Case, count: int) -> Work:
    """Reading and fusing the graph of one example; one step of this series is one recording."""
    prepared = prepare(specify(case, 1))
    model = build(prepared.spec.model, prepared.training.x.shape[1])
    inputs = [Value(number) for number in prepared.training.x[0].tolist()]
    targets = [Value(number) for number in prepared.training.targets[0].tolist()]
    outputs = model.outputs(inputs)
    loss, parameters = prepared.loss(outputs, targets), model.parameters()

    def work() -> Sequence[float]:
        for _ in range(count):
            program = record(loss, parameters, [*inputs, *targets], outputs)
        return [float(len(program.code))]

    return work


def starts(case: Case, count: int) -> Work:
    """Everything between the data and the first step: weights, graph, program, memory."""
    prepared = prepare(specify(case, 1))

    def work() -> Sequence[float]:
        for _ in range(count):
            executor = native.make_executor(prepared)
        return [float(executor.step)]

    return work
