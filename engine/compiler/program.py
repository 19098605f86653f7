"""A recorded graph as a short program over rows.

A program works on rows. A row holds one number for every example of a batch: an input, a
target, a fused neuron, an intermediate result. Instructions read rows and write rows, forward
for the values, backward for the gradients, which lie in a second table of the same shape.

Parameters live in slots. The first `len(order)` slots are the parameters, each once, in the
order in which the program's matrices lie; then come copies for matrices whose parameters are
used elsewhere too (`links`), and slots that the prologue computes. The prologue is the part of
the graph that depends on parameters but on no input; it runs once per step instead of once per
example.

`engine.compiler.instructions` describes the fields of an instruction, and
`engine.compiler.operations` lists the operations. Their formulas and derivatives are in
`engine.native`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.arrays import Array, Integers
from engine.compiler.describe import line, span


@dataclass(frozen=True, slots=True)
class Program:
    """The result of `engine.compiler.record`. Rows are counted within their stage.

    Attributes:
        code: instructions × 8; the first `prologue` of them are the prologue.
        constants: the numbers c₀, c₁, … of instructions.
        order: the parameter (by its place in the model) in each of the first slots.
        slots: how many slots there are.
        links: copies × 2: a slot, and the slot that it repeats.
        inputs: rows 0 … inputs-1 are filled from the data, one number per example.
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
        """The program as text, one instruction per line."""
        lines = [
            f"{self.inputs} inputs, {len(self.order)} parameters, {self.rows} rows, "
            f"{len(self.code)} instructions"
        ]
        if self.prologue:
            lines.append("once per step:")
            lines += [f"  p{row} = {number:g}" for row, number in self.prologue_fills]
            lines += [line(each, self.constants, "p") for each in self.code[: self.prologue]]
        if len(self.links):
            lines.append(f"copy {len(self.links)} shared parameters")
        lines.append("for every example:")
        lines.append(f"  {span('r', 0, self.inputs)} = inputs")
        lines += [f"  r{row} = {number:g}" for row, number in self.fills]
        lines += [line(each, self.constants, "r") for each in self.code[self.prologue :]]
        lines.append(f"  loss = r{self.loss}")
        if self.waist is not None:
            row = f"r{self.waist[1]}"
            lines.append(f"  (backward: on from {row} where its gradient is not 0)")
        return "\n".join(lines)
