"""The backward pass: which instruction writes a gradient first, and where gradients narrow."""

from __future__ import annotations

from collections.abc import Sequence

from engine.compiler.instructions import Field, Flag, Instruction, gradient_rows, result_rows, runs
from engine.compiler.operations import LOAD, MATRIX, MAXIMUM, RELU, STORE, ZERO

FLAGS_COLUMN = int(Field.FLAGS)

# Which flags say that an operand needs a gradient, and that it is the first.
OPERAND_A = (Flag.GRADIENT_A, Flag.FIRST_A)
OPERAND_B = (Flag.GRADIENT_B, Flag.FIRST_B)


def with_first_writes(code: Sequence[Instruction], seeded: set[int]) -> list[Instruction]:
    """Notes which instruction writes a gradient first in a backward pass.

    It need not add to anything. The gradients of the rows in `seeded` are given.

    Where an instruction meets rows of both kinds, the new ones are cleared before it. An output
    that the loss does not depend on gets no gradient.
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
        instruction[FLAGS_COLUMN] = flags
        backward.append(instruction)
    return backward[::-1]


def mask_relus(code: Sequence[Instruction]) -> None:
    """Lets the only matrix that reads a relu's rows apply the relu's rule.

    It can write their gradients over them, and half the memory stays in a closer cache.
    """
    relus: dict[tuple[int, int], Instruction] = {}
    readers: list[Instruction] = []
    for instruction in code:
        op, out, _, _, count, _, _, flags = instruction
        if op == MATRIX and flags & Flag.RELU:
            relus[out, count] = instruction
        if op == MATRIX and flags & Flag.FIRST_A:
            readers.append(instruction)
    if not relus or not readers:
        return
    writers: dict[int, int] = {}
    for instruction in code:
        for row in gradient_rows(instruction):
            writers[row] = writers.get(row, 0) + 1
    for instruction in readers:
        _, _, a, _, _, width, _, _ = instruction
        relu = relus.get((a, width))
        if relu is not None and all(writers[row] == 1 for row in range(a, a + width)):
            instruction[FLAGS_COLUMN] |= Flag.MASKS
            relu[FLAGS_COLUMN] |= Flag.MASKED


def find_waist(code: Sequence[Instruction]) -> tuple[int, int] | None:
    """The end of the last matrix, if one row passes the gradient on: (first instruction, row).

    Only where a relu or a maximum follows, as their rules make a gradient exactly 0.
    """
    ops = [instruction[0] for instruction in code]
    first = max((i + 1 for i, op in enumerate(ops) if op == MATRIX), default=0)
    if RELU not in ops[first:] and MAXIMUM not in ops[first:]:
        return None
    model, loss = code[:first], code[first:]
    # The gradient passes through operands, and where a result lies over what the model computed.
    ways = {row for i in loss for row in [*gradient_rows(i), *result_rows(i)]}
    ways.intersection_update(row for i in model for row in result_rows(i))
    return (first, ways.pop()) if len(ways) == 1 else None
