"""Functions of eight numbers at once, lane by lane or over the lanes."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from engine.native.lanes.float_bits import bits, from_bits
from engine.native.lanes.values import (
    DOUBLE,
    DOUBLES,
    INDEX,
    INTEGER,
    INTEGERS,
    LANES,
    ZEROS,
    Bit,
    Int,
    Lanes,
    Number,
    Whole,
    builder,
    call,
    indices,
)


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
    packed = builder().bitcast(condition.ir, ir.IntType(LANES))
    return Int(builder().zext(packed, INTEGER))


def ones(value: Int) -> Int:
    """How many bits are set."""
    return Int(call("llvm.ctpop.i64", INTEGER, value.ir))


def not_zero(x: Lanes) -> Bit:
    """Whether a number differs from 0; NaN does."""
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
    counts = builder().shuffle_vector(first, empty, indices([0] * LANES))
    return Bit(builder().icmp_signed(">", counts, ir.Constant(INTEGERS, list(range(LANES)))))


def with_bit(words: Lanes, where: Bit, place: Int) -> Lanes:
    """Eight 64-bit words, in which this bit is set now where a condition holds.

    The words are not numbers: they may only be passed here again, or stored.
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
    for i in range(LANES):
        numbers = [lane(arg, i).ir for arg in args]
        results.append(Number(call(f"llvm.{function}.f64", DOUBLE, *numbers)))
    return lanes_of(results)


def totals(vectors: Sequence[Lanes]) -> Lanes:
    """Lane i is the sum over the lanes of vector i, of eight or fewer; 0 where there is none.

    Every sum is ((0+4) + (2+6)) + ((1+5) + (3+7)). Folding eight vectors into each other takes
    a fraction of the shuffles of folding them one by one.
    """
    eight = [*vectors, *[ZEROS] * (LANES - len(vectors))]
    four = [fold(eight[i], eight[i + 4], 4) for i in range(4)]
    two = [fold(four[i], four[i + 2], 2) for i in range(2)]
    return fold(two[0], two[1], 1)


def fold(a: Lanes, b: Lanes, width: int) -> Lanes:
    """In groups of `width` lanes: a's first and second, b's second and first, a's third and …

    One of the two operands of this sum takes lanes from where they are: a blend, which
    processors can do in more places than a shuffle.
    """
    own, other = [], []
    for place in range(LANES):
        source = LANES if place // width % 2 else 0
        own.append(source + place)
        other.append(source + (place ^ width))
    left = builder().shuffle_vector(a.ir, b.ir, indices(own))
    right = builder().shuffle_vector(a.ir, b.ir, indices(other))
    return Lanes(builder().fadd(left, right))


def total(x: Lanes) -> Number:
    """The sum over the lanes, in the order of `totals`."""
    return lane(totals([x]), 0)
