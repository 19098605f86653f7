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
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from engine.native.lanes.values import DOUBLE, INTEGER, Int, Number, Symbol, _builders

KINDS: dict[str, tuple[Any, Any, type[Symbol]]] = {
    "Int": (INTEGER, types.int64, Int),
    "Number": (DOUBLE, types.float64, Number),
    "None": (ir.VoidType(), types.void, Symbol),
}


def traced(function: Callable[..., Any]) -> Any:
    """A numba intrinsic that calls the LLVM function which `function` writes.

    Its parameters and result are annotated Int, Number or None. The LLVM function is written
    once per module, however often it is called there.
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
