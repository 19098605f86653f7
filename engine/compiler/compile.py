"""The passes that turn a graph of Values into a program, in their order.

The graph under the loss was built by calling a model on one example. It is the same for every
example, so a value is known by what it depends on: a constant on nothing, a parameter or what
is computed from parameters alone (once per step), and the rest, which differs from example to
example. The compiler knows graphs, not networks: an MLP becomes one matrix per layer because that
is what is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.autograd.value import Value
from engine.compiler.emit import Writer
from engine.compiler.fuse import fuse
from engine.compiler.gradients import find_waist, mask_relus, with_first_writes
from engine.compiler.graph import classify
from engine.compiler.instructions import Field
from engine.compiler.nodes import Builder
from engine.compiler.program import Program
from engine.compiler.rows import Stage
from engine.compiler.slots import Slots


def compile_graph(
    loss: Value, parameters: Sequence[Value], inputs: Sequence[Value], outputs: Sequence[Value]
) -> Program:
    """The program of a graph; see `engine.compiler.record.record`."""
    graph = classify((*outputs, loss), parameters, inputs)  # what each value depends on
    plans = fuse(graph, (loss, *outputs))  # sums become dot products or linear combinations
    fused = Builder(graph, plans).build(loss, outputs)  # nodes: once per step, per example
    prologue = Stage(fused.prologue, [], [])
    body = Stage(fused.body, fused.inputs, [*dict.fromkeys((fused.loss, *fused.outputs))])
    for stage in (body, prologue):
        stage.share_rows()  # results over operands, relus into matrices
        stage.form_batches()  # what is done together: rows of a matrix, neighbours
        stage.place_rows()  # a row for every value
    slots = Slots(fused.parameters, fused.stored, [body])  # a slot for every parameter
    writer = Writer(slots)
    before, after = writer.write(prologue), writer.write(body)  # instructions
    seeded = {fused.loss.base().row} if fused.loss.trained else set()
    before, after = with_first_writes(before, set()), with_first_writes(after, seeded)
    for code in (before, after):
        mask_relus(code)  # gradients over the values of relus
    waist = find_waist(after)  # the row through which the loss hands its gradient to the model
    return Program(
        code=np.array([*before, *after], np.int64).reshape(-1, len(Field)),
        prologue=len(before),
        constants=np.array([*writer.constants, 0.0, 0.0, 0.0]),
        order=np.array(slots.order, np.int64),
        slots=slots.count,
        links=np.array(slots.links, np.int64).reshape(-1, 2),
        inputs=len(fused.inputs),
        rows=body.rows,
        prologue_rows=prologue.rows,
        fills=tuple(body.fills),
        prologue_fills=tuple(prologue.fills),
        loss=fused.loss.base().row,
        outputs=tuple(node.base().row for node in fused.outputs),
        waist=None if waist is None else (len(before) + waist[0], waist[1]),
    )
