"""The parts of a float64: sign, 11 bits of exponent (biased by 1023), 52 bits of fraction."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import ir

from engine.native.lanes.values import DOUBLES, INTEGERS, LANES, Bit, Lanes, builder

FRACTION_BITS = 52
BIAS = 1023
ROUNDER = 1.5 * 2.0**FRACTION_BITS
"""x + ROUNDER has the integer nearest to x in its lowest bits, for |x| < 2^51."""


def bits(x: Lanes) -> Any:
    return builder().bitcast(x.ir, INTEGERS)


def from_bits(value: Any) -> Lanes:
    return Lanes(builder().bitcast(value, DOUBLES))


def repeated(value: int) -> Any:
    return ir.Constant(INTEGERS, [value] * LANES)


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
