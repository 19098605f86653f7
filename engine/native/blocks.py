"""A program over one block of examples: every instruction forward, or backward.

Values and gradients are two tables of rows, `stride` bytes a row, eight examples a vector. An
instruction names its rows; `engine.program` says what its fields mean. All other arguments are
addresses and sizes.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import math

from numba import njit

from engine.native import rows
from engine.native.elementwise import elementwise, elementwise_rule
from engine.native.products import (
    ACCUMULATE,
    OVERWRITE,
    OVERWRITE_WHERE_POSITIVE,
    input_gradients,
    outputs,
    weight_gradients,
)
from engine.program import Field, Flag, Integers, Op

kernel = njit(error_model="numpy", nogil=True, inline="always")

MATRIX, LINEAR, LOG_SUM_EXP = int(Op.MATRIX), int(Op.LINEAR), int(Op.LOG_SUM_EXP)
LOAD, STORE, ZERO = int(Op.LOAD), int(Op.STORE), int(Op.ZERO)

OP, OUT, A, B = int(Field.OP), int(Field.OUT), int(Field.A), int(Field.B)
COUNT, WIDTH, SLOT, FLAGS = map(int, (Field.COUNT, Field.WIDTH, Field.SLOT, Field.FLAGS))

BIAS, RELU, MASKED, MASKS = map(int, (Flag.BIAS, Flag.RELU, Flag.MASKED, Flag.MASKS))
TRAINED, NEEDS_A, NEEDS_B = map(int, (Flag.TRAINED, Flag.GRADIENT_A, Flag.GRADIENT_B))
FIRST_A = int(Flag.FIRST_A)


@kernel
def forward(
    code: Integers, first: int, last: int, constants: int, values: int, stride: int,
    vectors: int, slots: int,
) -> None:  # fmt: skip
    """Instructions first … last-1, in order."""
    for i in range(first, last):
        op, count, width, flags = code[i, OP], code[i, COUNT], code[i, WIDTH], code[i, FLAGS]
        y = values + code[i, OUT] * stride
        a = values + code[i, A] * stride
        b = values + code[i, B] * stride
        slot = slots + 8 * code[i, SLOT]
        c = constants + 8 * code[i, SLOT]
        if op == MATRIX:
            bias = flags & BIAS
            floor = 0.0 if flags & RELU else -math.inf
            outputs(y, stride, slot, 8 * (width + bias), a, count, width, vectors, bias, floor)
        elif op == LINEAR:
            rows.linear(y, a, b, c, flags, count, stride, vectors)
        elif op == LOG_SUM_EXP:
            rows.log_sum_exp(y, a, width, stride, vectors)
        elif op == LOAD:
            rows.load_slots(y, slot, count, stride, vectors)
        elif op == STORE:
            rows.store_slots(a, slot, count, stride)
        else:
            elementwise(op, y, a, b, c, count, stride, vectors)


@kernel
def backward(
    code: Integers, first: int, last: int, constants: int, values: int, gradients: int,
    stride: int, vectors: int, slots: int, slot_gradients: int,
) -> None:  # fmt: skip
    """The rules of instructions last-1 … first, in this order.

    The gradient of the loss must be in its row; gradients of slots are added to.
    """
    for done in range(last - first):
        i = last - 1 - done
        op, count, width, flags = code[i, OP], code[i, COUNT], code[i, WIDTH], code[i, FLAGS]
        y = values + code[i, OUT] * stride
        a = values + code[i, A] * stride
        b = values + code[i, B] * stride
        gy = gradients + code[i, OUT] * stride
        ga = gradients + code[i, A] * stride
        gb = gradients + code[i, B] * stride
        slot = slots + 8 * code[i, SLOT]
        g_slot = slot_gradients + 8 * code[i, SLOT]
        c = constants + 8 * code[i, SLOT]
        if op == MATRIX:
            if flags & TRAINED == 0:
                continue
            if flags & RELU and not flags & MASKED:
                rows.relu_rule(y, gy, count, stride, vectors)
            bias = flags & BIAS
            pitch = 8 * (width + bias)
            weight_gradients(g_slot, pitch, gy, a, stride, count, width, vectors, bias)
            if flags & NEEDS_A:
                mode = ACCUMULATE
                if flags & MASKS:
                    mode = OVERWRITE_WHERE_POSITIVE
                elif flags & FIRST_A:
                    mode = OVERWRITE
                input_gradients(ga, stride, slot, pitch, gy, count, width, vectors, mode, a - ga)
        elif op == STORE:
            rows.store_slots_rule(ga, g_slot, flags, count, stride)
        elif op == ZERO:
            rows.clear(gy, count, stride, vectors)
        elif flags & (NEEDS_A | NEEDS_B) == 0:
            continue
        elif op == LINEAR:
            rows.linear_rule(gy, ga, gb, c, flags, count, stride, vectors)
        elif op == LOG_SUM_EXP:
            rows.log_sum_exp_rule(y, a, gy, ga, flags, width, stride, vectors)
        elif op == LOAD:
            rows.load_slots_rule(gy, g_slot, count, stride, vectors)
        else:
            elementwise_rule(op, y, a, b, gy, ga, gb, c, flags, count, stride, vectors)
