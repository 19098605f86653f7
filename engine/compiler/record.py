"""From one call of a model and its loss on Values to a program for every example.

    program = record(loss, parameters, inputs, outputs)

Results may differ from those of the graph in the last digits, for two reasons: a product that is
added to something is not rounded before (a fused multiply-add), and a sum without constants is
added up in another order, its dot product first. A sum to which a constant is added keeps the
graph's order, so `(x + 1e16) + 1` and `(a + b + 1e16) - 1e16` give the graph's numbers.

`engine.compiler.compile` lists the passes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engine.autograd.value import Value
from engine.compiler.compile import compile_graph
from engine.compiler.graph import NotRecordable
from engine.compiler.program import Program

__all__ = ["NotRecordable", "record"]


def record(
    loss: Value,
    parameters: Sequence[Value],
    inputs: Sequence[Value],
    outputs: Sequence[Value] = (),
) -> Program:
    """The program that computes `loss` for any example.

    Args:
        loss: the loss of one example, built from the other three and constants.
        parameters: what is trained; gradients come in this order.
        inputs: the values that differ between examples, targets too, in the order in which
            the data has them.
        outputs: values inside the graph that must stay readable after a pass.

    Raises:
        NotRecordable: an operation is not known, or its `_backward` was replaced.
    """
    with collector_paused():
        return compile_graph(loss, parameters, inputs, outputs)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Recording makes many objects and no cycles; searching for cycles would take a third of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
