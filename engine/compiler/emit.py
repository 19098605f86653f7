"""The instructions of a program, from nodes that have their rows and slots.

Neighbouring nodes of a batch become one instruction. Where an instruction needs rows side by
side that are not, they are copied to where they are. Last, the instructions are gone through
in the order of the backward pass to note which of them writes the gradient of a row first and
need not add to anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.compiler.program import (
    LINEAR,
    LOAD,
    LOG_SUM_EXP,
    MATRIX,
    MAXIMUM,
    RELU,
    STORE,
    ZERO,
    Field,
    Flag,
    Op,
    Program,
    gradient_rows,
)
from engine.compiler.rows import Fused, Node, Slots, Stage

Instruction = list[int]

FLAGS = int(Field.FLAGS)

# Which flags say that an operand needs a gradient, and that it is the first.
OPERAND_A = (Flag.GRADIENT_A, Flag.FIRST_A)
OPERAND_B = (Flag.GRADIENT_B, Flag.FIRST_B)


def lay_out(fused: Fused) -> Program:
    """The program of a fused graph."""
    body = Stage(fused.body, fused.inputs, [*dict.fromkeys((fused.loss, *fused.outputs))])
    prologue = Stage(fused.prologue, [], [])
    slots = Slots(fused.parameters, fused.stored, [body])
    writer = Writer(slots)
    loss = fused.loss.base().row
    before = writer.write(prologue, seeded=set())
    after = writer.write(body, seeded={loss} if fused.loss.trained else set())
    waist = find_waist(after)
    return Program(
        code=np.array([*before, *after], np.int64).reshape(-1, len(Field)),
        prologue=len(before),
        constants=np.array([*writer.constants, 0.0, 0.0, 0.0]),
        order=np.array(slots.order, np.int64),
        slots=slots.count,
        links=np.array(slots.links, np.int64).reshape(-1, 2),
        inputs=len(fused.inputs),
        rows=body.rows,
        prologue_rows=prologue.rows,
        fills=tuple(body.fills),
        prologue_fills=tuple(prologue.fills),
        loss=loss,
        outputs=tuple(node.base().row for node in fused.outputs),
        waist=None if waist is None else (len(before) + waist[0], waist[1]),
    )


class Writer:
    """Writes the instructions of stages; constants are collected over all of them."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.constants: list[float] = []
        self.places: dict[tuple[float, ...], int] = {}

    def write(self, stage: Stage, seeded: set[int]) -> list[Instruction]:
        """The stage's instructions; the gradients of the rows in `seeded` are given."""
        self.stage = stage
        self.code: list[Instruction] = []
        self.copies: dict[tuple[Node, ...], int] = {}
        for batch in stage.batches:
            op = batch[0].op
            if op is MATRIX:
                self.write_matrix(batch)
            elif op is LOG_SUM_EXP:
                for node in batch:
                    self.write_log_sum_exp(node)
            elif op is LOAD or op is STORE:
                self.write_moves(batch)
            else:
                self.write_elementwise(batch)
        return with_first_writes(self.code, seeded)

    def emit(
        self,
        op: Op,
        out: int,
        a: int = 0,
        b: int = 0,
        *,
        count: int = 1,
        width: int = 0,
        slot: int = 0,
        flags: int = 0,
    ) -> None:
        self.code.append([op, out, a, b, count, width, slot, flags])

    def write_matrix(self, batch: Sequence[Node]) -> None:
        first = batch[0]
        flags = Flag.TRAINED if first.trained else 0
        flags |= Flag.BIAS if first.bias is not None else 0
        flags |= Flag.RELU if first.relu else 0
        flags |= Flag.GRADIENT_A if any(o.trained for o in first.operands) else 0
        self.emit(
            MATRIX,
            first.row,
            self.side_by_side(first.operands),
            count=len(batch),
            width=len(first.operands),
            slot=self.slots.start[first],
            flags=flags,
        )

    def write_log_sum_exp(self, node: Node) -> None:
        flags = Flag.GRADIENT_A if any(o.trained for o in node.operands) else 0
        self.emit(
            LOG_SUM_EXP,
            node.row,
            self.side_by_side(node.operands),
            width=len(node.operands),
            flags=flags,
        )

    def write_moves(self, batch: Sequence[Node]) -> None:
        """LOADs into rows and STOREs from rows, neighbours together."""
        op = batch[0].op
        assert op is not None
        moves = []
        for node in batch:
            assert node.source is not None
            row = (node if op is LOAD else node.operands[0]).base().row
            moves.append((row, self.slots.slot[node.source]))
        for run in runs(sorted(moves)):
            row, slot = run[0]
            out, a = (row, 0) if op is LOAD else (0, row)
            self.emit(op, out, a, count=len(run), slot=slot, flags=Flag.GRADIENT_A)

    def write_elementwise(self, batch: Sequence[Node]) -> None:
        """One instruction for each run of neighbours, or one for every two terms of a LINEAR."""
        op, numbers = batch[0].op, batch[0].numbers
        assert op is not None
        rows = sorted(
            (node.base().row, *(operand.base().row for operand in node.operands)) for node in batch
        )
        needs = [operand.trained for operand in batch[0].operands]
        if op is not LINEAR:
            slot = self.constant(numbers)
            for run in runs(rows):
                self.emit(op, *run[0], count=len(run), slot=slot, flags=gradients(needs))
            return
        constant, *coefficients = numbers
        for run in runs(rows):
            out, *operands = run[0]
            for i in range(0, len(operands), 2):
                first, *second = coefficients[i : i + 2]
                flags = gradients(needs[i : i + 2])
                if i:
                    flags |= Flag.ACCUMULATE
                elif operands[0] == out and first == 1.0:
                    # In place: what comes for the sum is already there for the first term.
                    flags &= ~Flag.GRADIENT_A
                if second:
                    flags |= Flag.SECOND
                slot = self.constant((0.0 if i else constant, first, *(second or [0.0])))
                self.emit(op, out, *operands[i : i + 2], count=len(run), slot=slot, flags=flags)

    def constant(self, numbers: tuple[float, ...]) -> int:
        """Where these numbers stand in the table of constants."""
        if numbers not in self.places:
            self.places[numbers] = len(self.constants)
            self.constants += numbers
        return self.places[numbers]

    def side_by_side(self, nodes: tuple[Node, ...]) -> int:
        """The first of neighbouring rows that hold the nodes, copied there if need be."""
        rows = [node.base().row for node in nodes]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return rows[0]
        if nodes not in self.copies:
            start = self.copies[nodes] = self.stage.new_rows(len(nodes))
            slot = self.constant((0.0, 1.0, 0.0))
            for trained in (False, True):
                pairs = [
                    (start + i, row) for i, row in enumerate(rows) if nodes[i].trained is trained
                ]
                for run in runs(pairs):
                    self.emit(
                        LINEAR, *run[0], count=len(run), slot=slot, flags=gradients([trained])
                    )
        return self.copies[nodes]


def gradients(needs: Sequence[bool]) -> int:
    flags = Flag.GRADIENT_A if needs[0] else 0
    return flags | Flag.GRADIENT_B if len(needs) > 1 and needs[1] else flags


def runs(rows: Sequence[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Splits where a tuple is not the one before with every row one further on."""
    found: list[list[tuple[int, ...]]] = []
    expected: tuple[int, ...] = ()
    for row in rows:
        if row == expected:
            found[-1].append(row)
        else:
            found.append([row])
        expected = tuple(number + 1 for number in row)
    return found


def with_first_writes(code: Sequence[Instruction], seeded: set[int]) -> list[Instruction]:
    """Notes which instruction writes a gradient first in a backward pass.

    Where an instruction meets rows of both kinds, the new ones are cleared before it. What the
    loss does not depend on (an output that it does not look at) gets no gradient.
    """
    written = set(seeded)
    backward: list[Instruction] = []

    def clear(rows: Sequence[int]) -> None:
        for run in runs([(row,) for row in rows]):
            backward.append([ZERO, run[0][0], 0, 0, len(run), 0, 0, Flag.TRAINED])
        written.update(rows)

    for instruction in reversed(code):
        op, out, a, b, count, width, _, flags = instruction
        results = range(out, out + count)
        if op != STORE:
            missing = [row for row in results if row not in written]
            if len(missing) == count:
                flags &= ~(Flag.GRADIENT_A | Flag.GRADIENT_B | Flag.TRAINED)
            elif missing:
                clear(missing)
        # Of neighbours like p₀·p₁ and p₁·p₂ one adds to a row before the other would write it.
        interleaved = flags & Flag.GRADIENT_A and flags & Flag.GRADIENT_B and 0 < abs(a - b) < count
        for start, needed, first in ((a, *OPERAND_A), (b, *OPERAND_B)):
            if not flags & needed or op == LOAD:
                continue
            rows = range(start, start + (width or count))
            fresh = [row for row in rows if row not in written]
            first_write = len(fresh) == len(rows) or (start == out and op != STORE)
            if first_write and not interleaved:
                flags |= first
            elif fresh:
                clear(fresh)
            written.update(rows)
        instruction[FLAGS] = flags
        backward.append(instruction)
    mask_relus(backward)
    return backward[::-1]


def mask_relus(backward: Sequence[Instruction]) -> None:
    """Lets the only matrix that reads a relu's rows apply the relu's rule.

    It can write their gradients over them, and half the memory stays in a closer cache.
    """
    relus: dict[tuple[int, int], Instruction] = {}
    readers: list[Instruction] = []
    for instruction in backward:
        op, out, _, _, count, _, _, flags = instruction
        if op == MATRIX and flags & Flag.RELU:
            relus[out, count] = instruction
        if op == MATRIX and flags & Flag.FIRST_A:
            readers.append(instruction)
    if not relus or not readers:
        return
    writers: dict[int, int] = {}
    for instruction in backward:
        for row in gradient_rows(instruction):
            writers[row] = writers.get(row, 0) + 1
    for instruction in readers:
        _, _, a, _, _, width, _, _ = instruction
        relu = relus.get((a, width))
        if relu is not None and all(writers[row] == 1 for row in range(a, a + width)):
            instruction[FLAGS] |= Flag.MASKS
            relu[FLAGS] |= Flag.MASKED


def find_waist(code: Sequence[Instruction]) -> tuple[int, int] | None:
    """What follows the last matrix, if one row hands its gradient on: (first instruction, row).

    Only where a relu or a maximum follows, as their rules make a gradient exactly 0.
    """
    ops = [instruction[0] for instruction in code]
    first = max((i + 1 for i, op in enumerate(ops) if op == MATRIX), default=0)
    if RELU not in ops[first:] and MAXIMUM not in ops[first:]:
        return None
    model, loss = code[:first], code[first:]
    # Gradient goes on through operands, and where a result lies over what the model computed.
    ways = {row for i in loss for row in [*gradient_rows(i), *result_rows(i)]}
    ways.intersection_update(row for i in model for row in result_rows(i))
    return (first, ways.pop()) if len(ways) == 1 else None


def result_rows(instruction: Instruction) -> range:
    _, out, _, _, count, _, _, _ = instruction
    return range(out, out + count)
