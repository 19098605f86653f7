"""An instruction: eight integers, which name an operation, its rows and its slots."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from engine.compiler.operations import LOAD, ZERO

Instruction = list[int]


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


def result_rows(instruction: Instruction) -> range:
    _, out, _, _, count, _, _, _ = instruction
    return range(out, out + count)


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
