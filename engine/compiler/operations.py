"""Every operation of a program, with the facts that the compiler needs: one line per operation.

To add an elementwise operation, write its scalar pair in `engine.autograd.value` (the method of a
Value and its derivative rule), a line here, and its native pair in `engine.native.kernels.rules`:
two functions named after the line, such as `exp` and `exp_rule`. All tables of operations are
computed from these lines.
"""

from __future__ import annotations

from enum import IntEnum


class Op(IntEnum):
    """An operation of a program.

    Attributes:
        symbol: the `_op` of the Values that it computes; "" where it is found in another way.
        operands: how many rows it reads per row that it writes; 0 where it is not elementwise.
        constant: whether a number follows the operands, such as the slope of a leaky relu.
        reads_operand, reads_result: the numbers that its derivative rule needs. Where it needs
            the result alone, the result may be written over the operand.
    """

    symbol: str
    operands: int
    constant: bool
    reads_operand: bool
    reads_result: bool

    def __new__(
        cls,
        number: int,
        symbol: str = "",
        operands: int = 0,
        reads: str = "",
        constant: bool = False,
    ) -> Op:
        op = int.__new__(cls, number)
        op._value_ = number
        op.symbol, op.operands, op.constant = symbol, operands, constant
        op.reads_operand, op.reads_result = "operand" in reads, "result" in reads
        return op

    MATRIX = 0  # out[m] = Σ w[slot + m·pitch + k]·a[k] over `width` rows, and a bias
    LINEAR = 1  # out = c₀ + c₁·a + c₂·b, or out += c₁·a + c₂·b
    LOAD = 2  # out = the number in a slot, for every example
    STORE = 3  # the slot = a, which is the same for every example
    LOG_SUM_EXP = 4, "logsumexp", 0, "operand, result"  # out = log Σ exp(a[k]) over `width` rows
    MULTIPLY = 5, "*", 2, "operand"
    DIVIDE = 6, "/", 2, "operand, result"
    POWER = 7, "**", 2, "operand, result"
    MAXIMUM = 8, "max", 2, "operand"
    CONSTANT_POWER = 9, "", 1, "operand", True  # a to the power c₀, known by its rule
    LEAKY_RELU = 10, "leaky_relu", 1, "result", True  # of slope c₀; its rule asks for a sign
    EXP = 11, "exp", 1, "result"
    LOG = 12, "log", 1, "operand"
    SQRT = 13, "sqrt", 1, "result"
    SIN = 14, "sin", 1, "operand"
    COS = 15, "cos", 1, "operand"
    TANH = 16, "tanh", 1, "result"
    SIGMOID = 17, "sigmoid", 1, "result"
    SOFTPLUS = 18, "softplus", 1, "operand"
    RELU = 19, "ReLU", 1, "result"
    GELU = 20, "gelu", 1, "operand"
    ABS = 21, "abs", 1, "operand"
    ZERO = 22  # backward only: clears the gradients of out


# Before Python 3.12 looking a member up takes four times as long, and a recording looks often.
MATRIX, LINEAR, LOG_SUM_EXP = Op.MATRIX, Op.LINEAR, Op.LOG_SUM_EXP
LOAD, STORE, ZERO = Op.LOAD, Op.STORE, Op.ZERO
MAXIMUM, RELU, LEAKY_RELU = Op.MAXIMUM, Op.RELU, Op.LEAKY_RELU

BY_SYMBOL = {op.symbol: op for op in Op if op.symbol}
ELEMENTWISE = tuple(op for op in Op if op.operands)

IN_PLACE = frozenset(op for op in Op if op.reads_result and not op.reads_operand)
"""Operations whose result may lie in the row of their operand."""
READ_RESULT = frozenset(op for op in Op if op.reads_result)
"""Operations over whose result nothing may lie."""
