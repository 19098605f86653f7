"""A program over one block of examples: every instruction forward, or backward.

Values and gradients are two tables of rows, `stride` bytes a row, eight examples a vector. An
instruction names its rows; `engine.compiler.program` says what its fields mean. All arguments are
addresses and sizes.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import math

from numba import njit

from engine.compiler.instructions import Field, Flag
from engine.compiler.operations import Op
from engine.native.kernels import rows, sparse, sparse_weights
from engine.native.kernels.elementwise import elementwise, elementwise_rule
from engine.native.kernels.products import (
    ACCUMULATE,
    OVERWRITE,
    OVERWRITE_WHERE_POSITIVE,
    input_gradients,
    outputs,
)
from engine.native.kernels.weights import weight_gradients
from engine.native.lanes.memory import read_int
from engine.native.lanes.traced import traced
from engine.native.lanes.values import Int

kernel = njit(error_model="numpy", nogil=True, inline="always")

MATRIX, LINEAR, LOG_SUM_EXP = int(Op.MATRIX), int(Op.LINEAR), int(Op.LOG_SUM_EXP)
LOAD, STORE, ZERO = int(Op.LOAD), int(Op.STORE), int(Op.ZERO)

# An instruction is SIZE bytes, and each field begins this many bytes after its start.
SIZE = 8 * len(Field)
OP, OUT, A, B, COUNT, WIDTH, SLOT, FLAGS = (8 * field for field in Field)

BIAS, RELU, MASKED, MASKS = Flag.BIAS, Flag.RELU, Flag.MASKED, Flag.MASKS
TRAINED, NEEDS_A, NEEDS_B = Flag.TRAINED, Flag.GRADIENT_A, Flag.GRADIENT_B
FIRST_A = Flag.FIRST_A


@traced
def field(address: Int) -> Int:
    return read_int(address)


@kernel
def forward(
    code: int, first: int, last: int, constants: int, values: int, stride: int,
    vectors: int, slots: int, turned: int, marks: int,
) -> None:  # fmt: skip
    """Instructions first … last-1, in order.

    `turned` and `marks` are room for what matrices turn and leave out.
    """
    for i in range(first, last):
        at = code + SIZE * i
        op, count, width = field(at + OP), field(at + COUNT), field(at + WIDTH)
        flags = field(at + FLAGS)
        y = values + field(at + OUT) * stride
        a = values + field(at + A) * stride
        b = values + field(at + B) * stride
        slot = slots + 8 * field(at + SLOT)
        c = constants + 8 * field(at + SLOT)
        if op == MATRIX:
            bias = flags & BIAS
            floor = 0.0 if flags & RELU else -math.inf
            pitch = 8 * (width + bias)
            done = sparse.outputs(
                y, stride, slot, pitch, a, count, width, vectors, bias, floor, turned, marks
            )
            outputs(
                y + done * stride, stride, slot + done * pitch, pitch, a, count - done, width,
                vectors, bias, floor,
            )  # fmt: skip
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
    code: int, first: int, last: int, constants: int, values: int, gradients: int,
    stride: int, vectors: int, slots: int, slot_gradients: int, turned: int, marks: int,
) -> None:  # fmt: skip
    """The rules of instructions last-1 … first, in this order.

    The gradient of the loss must be in its row; gradients of slots are added to.
    """
    for turn in range(last - first):
        i = last - 1 - turn
        at = code + SIZE * i
        flags = field(at + FLAGS)
        if flags & (TRAINED | NEEDS_A | NEEDS_B) == 0:
            continue
        op, count, width = field(at + OP), field(at + COUNT), field(at + WIDTH)
        y = values + field(at + OUT) * stride
        a = values + field(at + A) * stride
        b = values + field(at + B) * stride
        gy = gradients + field(at + OUT) * stride
        ga = gradients + field(at + A) * stride
        gb = gradients + field(at + B) * stride
        slot = slots + 8 * field(at + SLOT)
        g_slot = slot_gradients + 8 * field(at + SLOT)
        c = constants + 8 * field(at + SLOT)
        if op == MATRIX:
            if flags & MASKED:
                gy = y
            elif flags & RELU:
                rows.relu_rule(y, gy, count, stride, vectors)
            bias = flags & BIAS
            pitch = 8 * (width + bias)
            done = 0
            if flags & RELU:
                done = sparse_weights.weight_gradients(
                    g_slot, pitch, gy, a, stride, count, width, vectors, turned, marks
                )
            weight_gradients(
                g_slot + 8 * done, pitch, gy, a + done * stride, stride, count, width - done,
                vectors, bias, turned,
            )  # fmt: skip
            if flags & NEEDS_A:
                mode = ACCUMULATE
                if flags & MASKS:
                    mode, ga = OVERWRITE_WHERE_POSITIVE, a
                elif flags & FIRST_A:
                    mode = OVERWRITE
                done = 0
                if flags & RELU:
                    done = sparse.input_gradients(
                        ga, stride, slot, pitch, gy, count, width, vectors, mode, turned, marks
                    )
                input_gradients(
                    ga + done * stride, stride, slot + 8 * done, pitch, gy, count, width - done,
                    vectors, mode,
                )  # fmt: skip
        elif op == STORE:
            rows.store_slots_rule(ga, g_slot, flags, count, stride)
        elif op == ZERO:
            rows.clear(gy, count, stride, vectors)
        elif op == LINEAR:
            rows.linear_rule(gy, ga, gb, c, flags, count, stride, vectors)
        elif op == LOG_SUM_EXP:
            rows.log_sum_exp_rule(y, a, gy, ga, flags, width, stride, vectors)
        elif op == LOAD:
            rows.load_slots_rule(gy, g_slot, count, stride, vectors)
        else:
            elementwise_rule(op, y, a, b, gy, ga, gb, c, flags, count, stride, vectors)
