"""Recording: the programs that the compiler makes of graphs, printed and counted."""

from __future__ import annotations

import gc
import itertools
import random
import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import MLP, Value
from engine.autograd.value import log_sum_exp
from engine.compiler.instructions import Field
from engine.compiler.operations import Op
from engine.compiler.program import Program
from engine.compiler.record import NotRecordable, record

ROOT = Path(__file__).parents[3]


def values(*numbers: float) -> list[Value]:
    return [Value(number) for number in numbers]


def operations(program: Program) -> list[str]:
    return [Op(op).name for op in program.code[:, Field.OP]]


def described(text: str) -> str:
    return textwrap.dedent(text).strip()


def test_a_network_becomes_one_matrix_per_layer() -> None:
    model = MLP(2, [16, 16, 1])
    x, label = values(0.5, -0.3), Value(1.0)
    score = model(x)
    assert isinstance(score, Value)
    program = record((1 + -label * score).relu(), model.parameters(), [*x, label], [score])
    assert program.describe() == described(
        """
        3 inputs, 337 parameters, 38 rows, 7 instructions
        for every example:
          r0…r2 = inputs
          r3…r18 = relu(W[16×2 at 0]·r0…r1 + bias)
          r36 = -1·r2
          r19…r34 = relu(W[16×16 at 48]·r3…r18 + bias)
          r35 = W[1×16 at 320]·r19…r34 + bias
          r37 = multiply(r36, r35)
          r37 = 1 + r37
          r37 = relu(r37)
          loss = r37
          (backward: on from r35 where its gradient is not 0)
        """
    )
    assert program.order.tolist() == list(range(337))
    assert program.outputs == (35,)


def test_what_depends_on_parameters_alone_is_computed_once_per_step() -> None:
    x, y = values(1.3, 0.2)
    a, b, c, d = values(1.0, 2.0, 3.0, 4.0)
    loss = (a * (b * x).sin() + c * (-d * x**2).exp() - y) ** 2
    assert record(loss, [a, b, c, d], [x, y]).describe() == described(
        """
        2 inputs, 4 parameters, 10 rows, 13 instructions
        once per step:
          p0 = slot 3
          p0 = -1·p0
          slot 8 = p0
        copy 1 shared parameters
        for every example:
          r0…r1 = inputs
          r2 = W[1×1 at 0]·r0
          r5 = multiply(r0, r0)
          r6 = sin(r2)
          r3 = W[1×1 at 9]·r5
          r3 = exp(r3)
          r8 = r6
          r9 = r3
          r4 = W[1×2 at 1]·r8…r9
          r4 = r4 + -1·r1
          r7 = multiply(r4, r4)
          loss = r7
        """
    )


def test_constants_are_folded() -> None:
    x, w = values(2.0, 3.0)
    program = record((x * w + Value(2.0) * Value(3.0)).tanh(), [w], [x])
    assert operations(program) == ["MATRIX", "LINEAR", "TANH"]
    assert "r1 = 6 + r1" in program.describe()


def test_constants_are_added_where_the_graph_adds_them() -> None:
    x, w = values(2.0, 3.0)
    text = record(x * w + 6.0 - 5.0, [w], [x]).describe()
    assert text.index("r1 = 6 + r1") < text.index("r1 = -5 + r1")
    y, z = values(1.0, 1.0)
    text = record(((x + y) + 1e16) + z * 2.0, [], [x, y, z]).describe()
    assert text.endswith("r3 = r0 + r1\n  r3 = 1e+16 + r3\n  r3 = r3 + 2·r2\n  loss = r3")


def test_a_zero_in_a_sum_changes_no_program() -> None:
    x, w = values(2.0, 3.0)
    y, v = values(4.0, 5.0)
    plain = record(w * x + v * y, [w, v], [x, y])
    assert record(w * x + 0.0 + v * y + 0.0, [w, v], [x, y]).describe() == plain.describe()


def test_long_sums_with_constants_take_time_in_proportion_to_their_length() -> None:
    def seconds(length: int, build: Callable[[Value, Value], Value]) -> float:
        x, w = values(1.0, 2.0)
        total = x + 1e16
        for _ in range(length):
            total = build(total, w * x)
        return min(time_of(total, w, x) for _ in range(3))

    def time_of(total: Value, w: Value, x: Value) -> float:
        begun = time.process_time()
        record(total, [w], [x])
        return time.process_time() - begun

    shapes: list[Callable[[Value, Value], Value]] = [
        lambda total, term: total + 1.0,
        lambda total, term: total + term,
        lambda total, term: term + total,
        lambda total, term: term + 3.0 * total,
        lambda total, term: (total + term) + 1.0,
    ]
    for shape in shapes:
        # Four times the terms take four times as long, not sixteen.
        assert seconds(4000, shape) < 10 * seconds(1000, shape)


def test_sum_may_start_at_zero() -> None:
    x, w = values(1.0, 2.0, 3.0), values(4.0, 5.0, 6.0)
    program = record(sum((wi * xi for wi, xi in zip(w, x, strict=True)), Value(0.0)), w, x)
    assert operations(program) == ["MATRIX"]


def test_a_balanced_sum_is_one_dot_product_too() -> None:
    x, w = values(1.0, 2.0, 3.0, 4.0), values(4.0, 5.0, 6.0, 7.0)
    b = Value(1.0)
    loss = (w[0] * x[0] + x[1] * w[1]) + (b + (w[2] * x[2] + w[3] * x[3]))
    assert operations(record(loss, [*w, b], x)) == ["MATRIX"]


def test_a_matrix_applied_again_is_read_from_the_same_slots() -> None:
    w, h = values(0.1, 0.2, 0.3, 0.4), values(1.0, 2.0)
    state = h
    for _ in range(3):
        state = [(w[2 * i] * state[0] + w[2 * i + 1] * state[1]).tanh() for i in range(2)]
    program = record(state[0] + state[1], w, h)
    matrices = program.code[program.code[:, Field.OP] == Op.MATRIX]
    assert matrices[:, Field.SLOT].tolist() == [0, 0, 0]
    assert len(program.links) == 0


def test_a_matrix_that_holds_a_parameter_twice_is_a_copy() -> None:
    a, b, c = values(0.1, 0.2, 0.3)
    x, y = values(1.0, 2.0)
    program = record((a * x + b * y).tanh() * (b * x + c * y).tanh(), [a, b, c], [x, y])
    assert sorted(program.order.tolist()) == [0, 1, 2]
    assert [program.order[owner] for _, owner in program.links] == [0, 1, 1, 2]
    assert "copy 4 shared parameters" in program.describe()


def test_values_used_again_are_not_swallowed() -> None:
    x, w = values(2.0, 3.0)
    s = x * w + 1.0
    program = record(s * s + s, [w], [x])
    assert operations(program).count("MATRIX") == 1


def test_outputs_are_not_overwritten() -> None:
    x, w = values(2.0, 3.0)
    z = w * x
    alone = record(z.tanh(), [w], [x])
    kept = record(z.tanh(), [w], [x], [z])
    assert alone.rows == 2
    assert (kept.rows, kept.outputs) == (3, (1,))


def test_an_output_that_the_loss_does_not_look_at_gets_no_gradient() -> None:
    x, w, v = values(2.0, 3.0, 4.0)
    program = record((w * x).tanh(), [w, v], [x], [(v * x).exp()])
    assert sum(name == "EXP" for name in operations(program)) == 1


def test_a_value_cannot_be_both_parameter_and_input() -> None:
    x = Value(1.0)
    with pytest.raises(ValueError, match="twice"):
        record(x * x, [x], [x])


def test_an_unknown_operation_is_named() -> None:
    x = Value(1.0)
    odd = Value(2.0, (x,), "frobnicate")
    with pytest.raises(NotRecordable, match="'frobnicate'") as error:
        record(odd, [], [x])
    for file in re.findall(r"engine/[a-z/_]+\.py", str(error.value)):
        assert (ROOT / file).exists()


def test_an_operation_with_a_rule_of_its_own_is_named() -> None:
    x, w = values(-1.0, 0.5)
    straight_through = (w * x).relu()
    straight_through._backward = lambda: None
    with pytest.raises(NotRecordable, match="'ReLU' has a _backward of its own"):
        record(straight_through * 2.0, [w], [x])
    # It does no harm if no gradient passes through it.
    assert record(straight_through * w, [w], [x, straight_through]).inputs == 2


def test_a_deep_graph_needs_no_recursion() -> None:
    x, w = values(1.0, 1.0)
    loss = x * w
    for _ in range(50_000):
        loss = loss.tanh()
    assert len(record(loss, [w], [x]).code) == 50_001


def test_the_collector_is_left_as_it_was() -> None:
    x, w = values(1.0, 1.0)
    gc.disable()
    record(x * w, [w], [x])
    assert not gc.isenabled()
    gc.enable()
    record(x * w, [w], [x])
    assert gc.isenabled()


def test_the_same_graph_gives_the_same_program() -> None:
    def program() -> Program:
        random.seed(5)
        model = MLP(3, [4, 2])
        x = values(1.0, 2.0, 3.0)
        answers = model(x)
        assert isinstance(answers, list)
        return record(log_sum_exp(answers), model.parameters(), x, answers)

    first, second = program(), program()
    assert first.code.tolist() == second.code.tolist()
    assert first.describe() == second.describe()


def test_recording_takes_time_in_proportion_to_the_parameters() -> None:
    def seconds(units: int) -> float:
        model = MLP(units, [units])
        x = values(*range(units))
        answers = model(x)
        assert isinstance(answers, list)
        loss = log_sum_exp(answers)
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            record(loss, model.parameters(), x)
            best = min(best, time.process_time() - begun)
        return best

    times = [seconds(units) for units in (60, 120, 240)]
    # Each time four times the parameters take four times as long, not sixteen.
    assert all(later < 9 * earlier for earlier, later in itertools.pairwise(times))
