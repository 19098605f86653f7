"""Instructions as text."""

from __future__ import annotations

from collections.abc import Sequence

from engine.arrays import Array
from engine.compiler.instructions import Flag
from engine.compiler.operations import Op


def line(instruction: Sequence[int], constants: Array, letter: str) -> str:
    """An instruction over rows that are called letter0, letter1, …"""
    op, out, a, b, count, width, slot, flags = map(int, instruction)
    name = Op(op).name.lower()
    target, first, second = (span(letter, row, count) for row in (out, a, b))
    match op:
        case Op.MATRIX:
            bias = " + bias" if flags & Flag.BIAS else ""
            text = f"W[{count}×{width} at {slot}]·{span(letter, a, width)}{bias}"
            text = f"relu({text})" if flags & Flag.RELU else text
        case Op.LINEAR:
            c = constants[slot : slot + 3]
            parts = [f"{c[0]:g}"] if c[0] or not count else []
            parts.append(first if c[1] == 1.0 else f"{c[1]:g}·{first}")
            if flags & Flag.SECOND:
                parts.append(second if c[2] == 1.0 else f"{c[2]:g}·{second}")
            text = " + ".join([target, *parts] if flags & Flag.ACCUMULATE else parts)
        case Op.LOAD:
            text = f"slot {slot}" if count == 1 else f"slots {slot}…{slot + count - 1}"
        case Op.STORE:
            return f"  slot {slot} = {first}"
        case Op.LOG_SUM_EXP:
            text = f"log_sum_exp({span(letter, a, width)})"
        case _ if Op(op).operands == 2:
            text = f"{name}({first}, {second})"
        case _ if Op(op).constant:
            text = f"{name}({first}, {constants[slot]:g})"
        case Op.ZERO:
            return f"  (backward: clear the gradient of {target})"
        case _:
            text = f"{name}({first})"
    return f"  {target} = {text}"


def span(letter: str, first: int, count: int) -> str:
    """r3…r18 for rows 3 to 18."""
    return f"{letter}{first}" if count == 1 else f"{letter}{first}…{letter}{first + count - 1}"
