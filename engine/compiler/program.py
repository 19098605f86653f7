"""A recorded graph as a short program over rows, and how to print it.

A program works on rows. A row holds one number for every example of a batch: an input, a
target, a fused neuron, an intermediate result. Instructions read rows and write rows, forward
for the values, backward for the gradients, which lie in a second table of the same shape.

Parameters live in slots. The first `len(order)` slots are the parameters, each once, in the
order in which the program's matrices lie; then come copies for matrices whose parameters are
used elsewhere too (`links`), and slots that the prologue computes. The prologue is the part of
the graph that depends on parameters but on no input; it runs once a step instead of once an
example.

An instruction is a row of eight integers, see `Field`. What each operation does, and its
derivative, is written in `engine.native`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from engine.arrays import Array, Integers


class Op(IntEnum):
    """Operations of a program. `count` rows are worked on at once."""

    MATRIX = 0  # out[m] = Σ w[slot + m·pitch + k]·a[k] over `width` rows, and a bias
    LINEAR = 1  # out = c₀ + c₁·a + c₂·b, or out += c₁·a + c₂·b
    LOAD = 2  # out = the number in a slot, for every example
    STORE = 3  # the slot = a, which is the same for every example
    LOG_SUM_EXP = 4  # out = log Σ exp(a[k]) over `width` rows
    MULTIPLY = 5
    DIVIDE = 6
    POWER = 7
    MAXIMUM = 8
    CONSTANT_POWER = 9  # a to the power c₀
    LEAKY_RELU = 10  # of slope c₀
    EXP = 11
    LOG = 12
    SQRT = 13
    SIN = 14
    COS = 15
    TANH = 16
    SIGMOID = 17
    SOFTPLUS = 18
    RELU = 19
    GELU = 20
    ABS = 21
    ZERO = 22  # backward only: clears the gradients of out


# Before Python 3.12 looking a member up takes four times as long, and a recording looks often.
MATRIX, LINEAR, LOG_SUM_EXP = Op.MATRIX, Op.LINEAR, Op.LOG_SUM_EXP
LOAD, STORE, ZERO = Op.LOAD, Op.STORE, Op.ZERO
MAXIMUM, RELU, LEAKY_RELU = Op.MAXIMUM, Op.RELU, Op.LEAKY_RELU


class Field(IntEnum):
    """Columns of an instruction."""

    OP = 0
    OUT = 1  # first row written
    A = 2  # first row of the first operand
    B = 3  # first row of the second
    COUNT = 4  # rows
    WIDTH = 5  # inputs of a MATRIX, operands of a LOG_SUM_EXP
    SLOT = 6  # first slot of a MATRIX, slot of LOAD and STORE, first constant of the others
    FLAGS = 7


class Flag:
    """Bits of FLAGS. No IntFlag: combining those would be a quarter of the recording."""

    BIAS = 1  # MATRIX: a bias follows each row of weights
    RELU = 2  # MATRIX: negative results become 0
    MASKED = 4  # MATRIX with RELU: gradients lie over the values, the relu's rule is applied
    MASKS = 8  # MATRIX: the inputs are such a relu, lay their gradients over them
    ACCUMULATE = 16  # LINEAR: add to out
    SECOND = 32  # LINEAR: there is a b
    GRADIENT_A = 64  # a needs a gradient
    GRADIENT_B = 128
    FIRST_A = 256  # the gradient of a is written here first, nothing to add to
    FIRST_B = 512
    TRAINED = 1024  # MATRIX: the weights need gradients; ZERO: always


@dataclass(frozen=True, slots=True)
class Program:
    """What `engine.compiler.record` makes of a graph. Rows are counted within their stage.

    Attributes:
        code: instructions × 8; the first `prologue` of them are the prologue.
        constants: the numbers c₀, c₁, … of instructions.
        order: the parameter (by its place in the model) in each of the first slots.
        slots: how many slots there are.
        links: copies × 2: a slot, and the slot that it repeats.
        inputs: rows 0 … inputs-1 are filled from the data, one number an example.
        rows, prologue_rows: how many rows each stage has.
        fills: (row, number) of rows that hold a constant.
        prologue_fills: the same, in the prologue.
        loss: the row of the loss.
        outputs: the row of each of the model's outputs.
        waist: (instruction, row) where all before this instruction of the code get their
            gradient through this one row, and it may be 0 there for some of the examples.
    """

    code: Integers
    prologue: int
    constants: Array
    order: Integers
    slots: int
    links: Integers
    inputs: int
    rows: int
    prologue_rows: int
    fills: tuple[tuple[int, float], ...]
    prologue_fills: tuple[tuple[int, float], ...]
    loss: int
    outputs: tuple[int, ...]
    waist: tuple[int, int] | None

    def describe(self) -> str:
        """The program as text, one instruction a line."""
        lines = [
            f"{self.inputs} inputs, {len(self.order)} parameters, {self.rows} rows, "
            f"{len(self.code)} instructions"
        ]
        if self.prologue:
            lines.append("once a step:")
            lines += [f"  p{row} = {number:g}" for row, number in self.prologue_fills]
            lines += [self._line(i, "p") for i in range(self.prologue)]
        if len(self.links):
            lines.append(f"copy {len(self.links)} shared parameters")
        lines.append("for every example:")
        lines.append(f"  {span('r', 0, self.inputs)} = inputs")
        lines += [f"  r{row} = {number:g}" for row, number in self.fills]
        lines += [self._line(i, "r") for i in range(self.prologue, len(self.code))]
        lines.append(f"  loss = r{self.loss}")
        if self.waist is not None:
            row = f"r{self.waist[1]}"
            lines.append(f"  (backward: on from {row} where its gradient is not 0)")
        return "\n".join(lines)

    def _line(self, index: int, letter: str) -> str:
        op, out, a, b, count, width, slot, flags = (int(number) for number in self.code[index])
        name = Op(op).name.lower()
        target, first, second = (span(letter, row, count) for row in (out, a, b))
        match op:
            case Op.MATRIX:
                bias = " + bias" if flags & Flag.BIAS else ""
                text = f"W[{count}×{width} at {slot}]·{span(letter, a, width)}{bias}"
                text = f"relu({text})" if flags & Flag.RELU else text
            case Op.LINEAR:
                c = self.constants[slot : slot + 3]
                parts = [f"{c[0]:g}"] if c[0] or not count else []
                parts.append(first if c[1] == 1.0 else f"{c[1]:g}·{first}")
                if flags & Flag.SECOND:
                    parts.append(second if c[2] == 1.0 else f"{c[2]:g}·{second}")
                text = " + ".join([target, *parts] if flags & Flag.ACCUMULATE else parts)
            case Op.LOAD:
                text = f"slot {slot}" if count == 1 else f"slots {slot}…{slot + count - 1}"
            case Op.STORE:
                return f"  slot {slot} = {first}"
            case Op.LOG_SUM_EXP:
                text = f"log_sum_exp({span(letter, a, width)})"
            case Op.MULTIPLY | Op.DIVIDE | Op.POWER | Op.MAXIMUM:
                text = f"{name}({first}, {second})"
            case Op.CONSTANT_POWER | Op.LEAKY_RELU:
                text = f"{name}({first}, {self.constants[slot]:g})"
            case Op.ZERO:
                return f"  (backward: clear the gradient of {target})"
            case _:
                text = f"{name}({first})"
        return f"  {target} = {text}"


def gradient_rows(instruction: Sequence[int]) -> list[int]:
    """The rows whose gradients an instruction writes or adds to."""
    op, out, a, b, count, width, _, flags = instruction
    if op == ZERO:
        return list(range(out, out + count))
    if op == LOAD:
        return []
    rows: list[int] = []
    if flags & Flag.GRADIENT_A:
        rows += range(a, a + (width or count))
    if flags & Flag.GRADIENT_B:
        rows += range(b, b + count)
    return rows


def span(letter: str, first: int, count: int) -> str:
    """r3…r18 for rows 3 to 18."""
    return f"{letter}{first}" if count == 1 else f"{letter}{first}…{letter}{first + count - 1}"
