"""The values of kernels: integers, numbers, eight numbers at once, conditions."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeVar

from llvmlite import ir
from numba.core import cgutils

LANES = 8
"""Numbers in a Lanes."""
BYTES = 8 * LANES

INTEGER, DOUBLE, BIT, INDEX = ir.IntType(64), ir.DoubleType(), ir.IntType(1), ir.IntType(32)
DOUBLES, INTEGERS = ir.VectorType(DOUBLE, LANES), ir.VectorType(INTEGER, LANES)

_builders: list[Any] = []


def builder() -> Any:
    """The LLVM builder of the kernel that is being traced."""
    return _builders[-1]


class Symbol:
    """A value of the running kernel; `ir` is LLVM's name for it."""

    __slots__ = ("ir",)

    def __init__(self, ir_value: Any) -> None:
        self.ir = ir_value


Some = TypeVar("Some", bound=Symbol)


class Bit(Symbol):
    """A condition, or eight of them."""

    def as_int(self) -> Int:
        """1 where it holds, else 0."""
        return Int(builder().zext(self.ir, INTEGER))

    def __invert__(self) -> Bit:
        return Bit(builder().not_(self.ir))

    def __and__(self, other: Bit) -> Bit:
        return Bit(builder().and_(self.ir, other.ir))


class Int(Symbol):
    """A 64-bit integer that wraps; division and shifts take it as unsigned."""

    @staticmethod
    def of(value: Int | int) -> Int:
        if isinstance(value, Int):
            return value
        signed = value - 2**64 if value >= 2**63 else value
        return Int(ir.Constant(INTEGER, signed))

    def __add__(self, other: Int | int) -> Int:
        return Int(builder().add(self.ir, Int.of(other).ir))

    def __sub__(self, other: Int | int) -> Int:
        return Int(builder().sub(self.ir, Int.of(other).ir))

    def __mul__(self, other: Int | int) -> Int:
        return Int(builder().mul(self.ir, Int.of(other).ir))

    def __and__(self, other: Int | int) -> Int:
        return Int(builder().and_(self.ir, Int.of(other).ir))

    def __or__(self, other: Int | int) -> Int:
        return Int(builder().or_(self.ir, Int.of(other).ir))

    def __xor__(self, other: Int | int) -> Int:
        return Int(builder().xor(self.ir, Int.of(other).ir))

    def __lshift__(self, other: Int | int) -> Int:
        return Int(builder().shl(self.ir, Int.of(other).ir))

    def __rshift__(self, other: int) -> Int:
        return Int(builder().lshr(self.ir, Int.of(other).ir))

    def __floordiv__(self, other: int) -> Int:
        return Int(builder().udiv(self.ir, Int.of(other).ir))

    def __mod__(self, other: int) -> Int:
        return Int(builder().urem(self.ir, Int.of(other).ir))

    __radd__, __rmul__ = __add__, __mul__

    def _compare(self, operator: str, other: Int | int) -> Bit:
        return Bit(builder().icmp_signed(operator, self.ir, Int.of(other).ir))

    def __lt__(self, other: Int | int) -> Bit:
        return self._compare("<", other)

    def __ge__(self, other: Int | int) -> Bit:
        return self._compare(">=", other)

    def __eq__(self, other: Int | int) -> Bit:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: Int | int) -> Bit:  # type: ignore[override]
        return self._compare("!=", other)

    __hash__ = None  # type: ignore[assignment]


Whole = TypeVar("Whole", int, Int)


class Floating(Symbol):
    """The operators of Number and Lanes."""

    @classmethod
    def of(cls, value: Any) -> Self:
        """A number as a symbol of this class."""
        raise NotImplementedError

    def _emit(self, instruction: str, other: Any, *, swapped: bool = False) -> Self:
        if isinstance(other, Lanes) and not isinstance(self, Lanes):
            return NotImplemented  # type: ignore[no-any-return]
        a, b = self.ir, self.of(other).ir
        return type(self)(getattr(builder(), instruction)(*((b, a) if swapped else (a, b))))

    def __add__(self, other: Any) -> Self:
        return self._emit("fadd", other)

    def __radd__(self, other: Any) -> Self:
        return self._emit("fadd", other, swapped=True)

    def __sub__(self, other: Any) -> Self:
        return self._emit("fsub", other)

    def __rsub__(self, other: Any) -> Self:
        return self._emit("fsub", other, swapped=True)

    def __mul__(self, other: Any) -> Self:
        return self._emit("fmul", other)

    def __rmul__(self, other: Any) -> Self:
        return self._emit("fmul", other, swapped=True)

    def __truediv__(self, other: Any) -> Self:
        return self._emit("fdiv", other)

    def __rtruediv__(self, other: Any) -> Self:
        return self._emit("fdiv", other, swapped=True)

    def __neg__(self) -> Self:
        return type(self)(builder().fneg(self.ir))

    def _compare(self, operator: str, other: Any) -> Bit:
        return Bit(builder().fcmp_ordered(operator, self.ir, self.of(other).ir))

    def __lt__(self, other: Any) -> Bit:
        return self._compare("<", other)

    def __gt__(self, other: Any) -> Bit:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Bit:
        return self._compare(">=", other)

    def __eq__(self, other: Any) -> Bit:  # type: ignore[override]
        return self._compare("==", other)

    __hash__ = None  # type: ignore[assignment]


class Number(Floating):
    """One float64."""

    @classmethod
    def of(cls, value: Number | float) -> Number:
        return value if isinstance(value, Number) else Number(ir.Constant(DOUBLE, value))


class Lanes(Floating):
    """Eight float64 numbers. A number beside one is repeated in every lane."""

    @classmethod
    def of(cls, value: Lanes | Number | float) -> Lanes:
        if isinstance(value, Lanes):
            return value
        if not isinstance(value, Number):
            return Lanes(ir.Constant(DOUBLES, [value] * LANES))
        empty = ir.Constant(DOUBLES, ir.Undefined)
        first = builder().insert_element(empty, value.ir, ir.Constant(INDEX, 0))
        return Lanes(builder().shuffle_vector(first, empty, indices([0] * LANES)))


ZEROS = Lanes(ir.Constant(DOUBLES, [0.0] * LANES))


def indices(values: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(INDEX, len(values)), list(values))


def call(name: str, result: Any, *args: Any) -> Any:
    signature = ir.FunctionType(result, [arg.type for arg in args])
    return builder().call(cgutils.get_or_insert_function(builder().module, signature, name), args)
