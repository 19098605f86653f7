"""Kernels written as Python functions that run once, on symbols, to write LLVM code.

    @traced
    def scale(row: Int, factor: Number, vectors: Int) -> None:
        for v in times(vectors):
            at = row + BYTES * v
            store(at, load(at) * factor)

makes a function that numba-compiled code can call. Inside it every `Int` and `Number` stands
for a 64-bit integer or float of the running kernel, and a `Lanes` for eight float64 numbers,
LLVM's `<8 x double>`. Operators on them write the instruction; Python's own `for` and `if` run
while the code is written, `times`, `when` and `cases` write loops and branches.

numba has no vector type, and LLVM's auto-vectoriser decides by itself which sums to reorder.
Here that is written down: operators work lane by lane, `fma` is one rounding, `totals` adds in
one fixed tree. So a kernel gives the same bits on every processor, whether LLVM maps a Lanes
to one AVX-512 register, two AVX2 registers or four of NEON. And tracing costs far less time
than numba's type inference over as many small functions.

Memory is addressed by integers (bytes), as C does with pointers; nothing is checked.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Self, TypeVar

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

WIDTH = 8
"""Numbers in a Lanes."""
BYTES = 8 * WIDTH

INTEGER, DOUBLE, BIT, INDEX = ir.IntType(64), ir.DoubleType(), ir.IntType(1), ir.IntType(32)
DOUBLES, INTEGERS = ir.VectorType(DOUBLE, WIDTH), ir.VectorType(INTEGER, WIDTH)

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
        """What stands for a number among symbols of this class."""
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
            return Lanes(ir.Constant(DOUBLES, [value] * WIDTH))
        empty = ir.Constant(DOUBLES, ir.Undefined)
        first = builder().insert_element(empty, value.ir, ir.Constant(INDEX, 0))
        return Lanes(builder().shuffle_vector(first, empty, indices([0] * WIDTH)))


ZEROS = Lanes(ir.Constant(DOUBLES, [0.0] * WIDTH))


def indices(values: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(INDEX, len(values)), list(values))


# Memory.


def pointer(address: Int, to: Any) -> Any:
    return builder().inttoptr(address.ir, to.as_pointer())


def load(address: Int) -> Lanes:
    # Weights start anywhere, so nothing better than 8-byte alignment is promised; where the
    # address is aligned the same instruction is as fast.
    return Lanes(builder().load(pointer(address, DOUBLES), align=8))


def store(address: Int, value: Lanes | Number | float) -> None:
    builder().store(Lanes.of(value).ir, pointer(address, DOUBLES), align=8)


def load_halves(left: Int, right: Int) -> Lanes:
    """Four numbers from one address and four from another."""
    half = ir.VectorType(DOUBLE, WIDTH // 2)
    a, b = (builder().load(pointer(address, half), align=8) for address in (left, right))
    return Lanes(builder().shuffle_vector(a, b, indices(range(WIDTH))))


def load_turned(address: Int, stride: Int) -> list[Lanes]:
    """Vector l has lane l of each of eight vectors that lie `stride` apart.

    Halves are put together while they are loaded, which needs no shuffle; two rounds of
    exchanges within the halves do the rest.
    """
    turned: list[Lanes] = []
    for half in (address, address + BYTES // 2):
        rows = [load_halves(half + i * stride, half + (i + 4) * stride) for i in range(4)]
        for width in (1, 2):
            rows = [exchange(rows[i & ~width], rows[i | width], i, width) for i in range(4)]
        turned += rows
    return turned


def exchange(a: Lanes, b: Lanes, row: int, width: int) -> Lanes:
    """Row `row` of two after swapping groups of `width` lanes across their diagonal."""
    shift = width if row & width else 0
    own = [(place & ~width) + shift + (WIDTH if place & width else 0) for place in range(WIDTH)]
    return Lanes(builder().shuffle_vector(a.ir, b.ir, indices(own)))


def read(address: Int) -> Number:
    return Number(builder().load(pointer(address, DOUBLE)))


def write(address: Int, value: Number | float) -> None:
    builder().store(Number.of(value).ir, pointer(address, DOUBLE))


def read_int(address: Int) -> Int:
    return Int(builder().load(pointer(address, INTEGER)))


def write_int(address: Int, value: Int) -> None:
    builder().store(value.ir, pointer(address, INTEGER))


def write_byte(address: Int, value: Int) -> None:
    """Its lowest eight bits."""
    byte = ir.IntType(8)
    builder().store(builder().trunc(value.ir, byte), pointer(address, byte))


class Variable(Generic[Some]):
    """What changes from turn to turn of a loop."""

    def __init__(self, start: Some) -> None:
        self._kind = type(start)
        self._place = cgutils.alloca_once(builder(), start.ir.type)
        self.value = start

    @property
    def value(self) -> Some:
        return self._kind(builder().load(self._place))

    @value.setter
    def value(self, new: Some) -> None:
        builder().store(new.ir, self._place)


# Control flow.


def times(count: Int | int) -> Iterator[Int]:
    """A loop over 0 … count-1."""
    with cgutils.for_range(builder(), Int.of(count).ir) as loop:
        yield Int(loop.index)


def set_bits(value: Int) -> Iterator[Int]:
    """A loop over the bits that are set, by their places from the lowest on."""
    left = Variable(value)
    again, body, after = (builder().append_basic_block(name) for name in ("again", "body", "after"))
    builder().branch(again)
    builder().position_at_end(again)
    bits = left.value
    builder().cbranch((bits != 0).ir, body, after)
    builder().position_at_end(body)
    left.value = bits & (bits - 1)
    yield Int(call("llvm.cttz.i64", INTEGER, bits.ir, ir.Constant(BIT, 1)))
    builder().branch(again)
    builder().position_at_end(after)


@contextmanager
def when(condition: Bit) -> Iterator[None]:
    """Runs its body where the condition holds."""
    with builder().if_then(condition.ir):
        yield


def cases(value: Int, numbers: Sequence[int]) -> Iterator[int]:
    """Writes a branch for each of the numbers; a value that is none of them skips all."""
    after = builder().append_basic_block("after")
    switch = builder().switch(value.ir, after)
    for number in numbers:
        block = builder().append_basic_block(f"case{number}")
        switch.add_case(ir.Constant(INTEGER, number), block)
        builder().position_at_end(block)
        yield number
        builder().branch(after)
    builder().position_at_end(after)


def if_else(condition: Bit, then: Callable[[], Lanes], otherwise: Callable[[], Lanes]) -> Lanes:
    """One of two computations, unlike `select`, which does both."""
    result = Variable(ZEROS)
    with builder().if_else(condition.ir) as (yes, no):
        with yes:
            result.value = then()
        with no:
            result.value = otherwise()
    return result.value


# Functions of lanes.


def call(name: str, result: Any, *args: Any) -> Any:
    signature = ir.FunctionType(result, [arg.type for arg in args])
    return builder().call(cgutils.get_or_insert_function(builder().module, signature, name), args)


def fma(a: Lanes | Number | float, b: Lanes | Number | float, c: Lanes | Number | float) -> Lanes:
    """a·b + c with one rounding."""
    terms = (Lanes.of(term).ir for term in (a, b, c))
    return Lanes(call("llvm.fma.v8f64", DOUBLES, *terms))


def select(condition: Bit, a: Lanes | Number | float, b: Lanes | Number | float) -> Lanes:
    """a where the condition holds, else b, lane by lane if there are eight conditions."""
    return Lanes(builder().select(condition.ir, Lanes.of(a).ir, Lanes.of(b).ir))


def square_root(x: Lanes) -> Lanes:
    return Lanes(call("llvm.sqrt.v8f64", DOUBLES, x.ir))


def magnitude(x: Lanes) -> Lanes:
    return Lanes(call("llvm.fabs.v8f64", DOUBLES, x.ir))


def copy_sign(x: Lanes | float, sign: Lanes) -> Lanes:
    """The magnitude of x with the sign of the other."""
    return Lanes(call("llvm.copysign.v8f64", DOUBLES, Lanes.of(x).ir, sign.ir))


def anywhere(condition: Bit) -> Bit:
    """Whether at least one of eight conditions holds."""
    return mask(condition) != 0


def mask(condition: Bit) -> Int:
    """Eight conditions as the lowest bits of an integer."""
    packed = builder().bitcast(condition.ir, ir.IntType(WIDTH))
    return Int(builder().zext(packed, INTEGER))


def ones(value: Int) -> Int:
    """How many bits are set."""
    return Int(call("llvm.ctpop.i64", INTEGER, value.ir))


def not_zero(x: Lanes) -> Bit:
    """Where a number is not 0. NaN is not."""
    return ~(x == 0.0)


def parts(count: Whole, size: int) -> Whole:
    """How many parts of this size it takes."""
    return (count + (size - 1)) // size


def smaller(a: Int, b: Int | int) -> Int:
    return Int(builder().select((a < b).ir, a.ir, Int.of(b).ir))


def first_lanes(count: Int) -> Bit:
    """A condition that holds in the first `count` lanes."""
    empty = ir.Constant(INTEGERS, ir.Undefined)
    first = builder().insert_element(empty, count.ir, ir.Constant(INDEX, 0))
    counts = builder().shuffle_vector(first, empty, indices([0] * WIDTH))
    return Bit(builder().icmp_signed(">", counts, ir.Constant(INTEGERS, list(range(WIDTH)))))


def with_bit(words: Lanes, where: Bit, place: Int) -> Lanes:
    """Eight 64-bit words, in which this bit is set now where a condition holds.

    The words are no numbers: all that may be done with them is this, and to store them.
    """
    bit = Lanes.of(Number(builder().bitcast((Int.of(1) << place).ir, DOUBLE)))
    return from_bits(builder().or_(bits(words), bits(select(where, bit, 0.0))))


def lanes_of(numbers: Sequence[Number]) -> Lanes:
    """Eight numbers in the lanes of a vector."""
    out = ir.Constant(DOUBLES, ir.Undefined)
    for i, number in enumerate(numbers):
        out = builder().insert_element(out, number.ir, ir.Constant(INDEX, i))
    return Lanes(out)


def lane(x: Lanes, index: int) -> Number:
    return Number(builder().extract_element(x.ir, ir.Constant(INDEX, index)))


def per_lane(function: str, *args: Lanes) -> Lanes:
    """A function of the C library, one lane after the other."""
    results = []
    for i in range(WIDTH):
        numbers = [lane(arg, i).ir for arg in args]
        results.append(Number(call(f"llvm.{function}.f64", DOUBLE, *numbers)))
    return lanes_of(results)


def totals(vectors: Sequence[Lanes]) -> Lanes:
    """Lane i is the sum over the lanes of vector i, of eight or fewer; 0 where there is none.

    Every sum is ((0+4) + (2+6)) + ((1+5) + (3+7)). Folding eight vectors into each other takes
    a fraction of the shuffles of folding them one by one.
    """
    eight = [*vectors, *[ZEROS] * (WIDTH - len(vectors))]
    four = [fold(eight[i], eight[i + 4], 4) for i in range(4)]
    two = [fold(four[i], four[i + 2], 2) for i in range(2)]
    return fold(two[0], two[1], 1)


def fold(a: Lanes, b: Lanes, width: int) -> Lanes:
    """In groups of `width` lanes: a's first and second, b's second and first, a's third and …

    One of the two operands of this sum takes lanes from where they are: a blend, which
    processors can do in more places than a shuffle.
    """
    own, other = [], []
    for place in range(WIDTH):
        source = WIDTH if place // width % 2 else 0
        own.append(source + place)
        other.append(source + (place ^ width))
    left = builder().shuffle_vector(a.ir, b.ir, indices(own))
    right = builder().shuffle_vector(a.ir, b.ir, indices(other))
    return Lanes(builder().fadd(left, right))


def total(x: Lanes) -> Number:
    """The sum over the lanes, in the order of `totals`."""
    return lane(totals([x]), 0)


# The parts of a float64: sign, 11 bits of exponent (biased by 1023), 52 bits of fraction.

FRACTION_BITS = 52
BIAS = 1023
ROUNDER = 1.5 * 2.0**FRACTION_BITS
"""x + ROUNDER has the integer nearest to x in its lowest bits, for |x| < 2^51."""


def bits(x: Lanes) -> Any:
    return builder().bitcast(x.ir, INTEGERS)


def from_bits(value: Any) -> Lanes:
    return Lanes(builder().bitcast(value, DOUBLES))


def repeated(value: int) -> Any:
    return ir.Constant(INTEGERS, [value] * WIDTH)


def power_of_two(rounded: Lanes) -> Lanes:
    """2ⁿ for n + ROUNDER, with -1022 <= n <= 1023."""
    exponent = builder().add(bits(rounded), repeated(BIAS))
    return from_bits(builder().shl(exponent, repeated(FRACTION_BITS)))


def has_bit(rounded: Lanes, bit: int) -> Bit:
    """Whether the integer n of n + ROUNDER has this bit (1, 2, 4, …) set."""
    found = builder().and_(bits(rounded), repeated(bit))
    return Bit(builder().icmp_unsigned("!=", found, repeated(0)))


def exponent_of(x: Lanes) -> Lanes:
    """The biased exponent field of positive numbers, as a number."""
    field = builder().lshr(bits(x), repeated(FRACTION_BITS))
    # An integer below 2^52 in the fraction bits of 2^52 is that integer added to it.
    offset = Lanes.of(2.0**FRACTION_BITS)
    return from_bits(builder().or_(field, bits(offset))) - offset


def fraction_of(x: Lanes) -> Lanes:
    """The fraction of positive numbers as a number in [1, 2)."""
    fraction = builder().and_(bits(x), repeated((1 << FRACTION_BITS) - 1))
    return from_bits(builder().or_(fraction, repeated(BIAS << FRACTION_BITS)))


# From a Python function to one that numba can call.

KINDS: dict[str, tuple[Any, Any, type[Symbol]]] = {
    "Int": (INTEGER, types.int64, Int),
    "Number": (DOUBLE, types.float64, Number),
    "None": (ir.VoidType(), types.void, Symbol),
}


def traced(function: Callable[..., Any]) -> Any:
    """A numba intrinsic that calls the LLVM function which `function` writes.

    Its parameters and result are annotated Int, Number or None. The LLVM function is written
    once a module, however often it is called there.
    """
    signature = inspect.signature(function)
    parameters = [KINDS[p.annotation] for p in signature.parameters.values()]
    result_ir, result_type, _ = KINDS[signature.return_annotation]
    function_ir = ir.FunctionType(result_ir, [kind[0] for kind in parameters])
    name = f"gradserve.{function.__module__}.{function.__qualname__}"

    def define(module: Any) -> Any:
        if name in module.globals:
            return module.globals[name]
        made = ir.Function(module, function_ir, name)
        made.linkage = "internal"
        made.attributes.add("nounwind")
        code = ir.IRBuilder(made.append_basic_block("entry"))
        _builders.append(code)
        try:
            symbols = (kind[2](arg) for kind, arg in zip(parameters, made.args, strict=True))
            result = function(*symbols)
        finally:
            _builders.pop()
        if result is None:
            code.ret_void()
        else:
            code.ret(result.ir)
        return made

    def emit(context: Any, outer: Any, numba_signature: Any, args: Any) -> Any:
        result = outer.call(define(outer.module), args)
        return context.get_dummy_value() if result_type is types.void else result

    def typing(context: Any, *args: Any) -> Any:
        return result_type(*(kind[1] for kind in parameters)), emit

    typing.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(parameter, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for parameter in ("context", *signature.parameters)
        ]
    )
    typing.__name__ = function.__name__
    return intrinsic(typing)
