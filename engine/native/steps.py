"""Many steps of training in one call.

`run` takes the steps of a window one after the other: for each the prologue, the batch block by
block forward and backward, then the update. It can be left after any block and goes on where it
was, so a step may take longer than a slice; where it is left changes no bit.

The other functions become part of it. They get addresses and not arrays: numba counts references
to arrays, atomically, and that took longer than a step of a small network.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import math
from typing import NamedTuple

from numba import njit

from engine.native import active, batch, descent, rows
from engine.native.blocks import backward, forward
from engine.native.cache import cached
from engine.native.jobs import (
    BEGIN,
    DONE,
    GOING_ON,
    LOADED,
    LOGGED,
    LOSS,
    LOSS_NOT_FINITE,
    NORM,
    PARAMETERS_NOT_FINITE,
    PHASE,
    SCORE,
    STATUS,
    STEP,
    TRAIN,
    UNTIL,
    VALIDATE,
    VALIDATION_LOSS,
    VALIDATION_SCORE,
    Job,
    Window,
)
from engine.native.tracing import BYTES, WIDTH
from engine.program import Integers
from engine.progress import Array

inlined = njit(error_model="numpy", nogil=True, inline="always")


class Memory(NamedTuple):
    """Addresses of a job's arrays, and how many vectors its slots and parameters take."""

    code: int
    constants: int
    slots: int
    gradients: int
    velocity: int
    kept: int
    once: int
    once_gradients: int
    values: int
    value_gradients: int
    turned: int
    packed: int
    marks: int
    slot_vectors: int
    parameter_vectors: int


@cached
def run(job: Job, window: Window, progress: Integers, sums: Array, budget: int) -> int:
    """Takes the steps of the window before UNTIL, or as many as fit into `budget` blocks.

    Returns how many blocks are left. `progress` holds UNTIL and says how far it came; where
    its STATUS is not GOING_ON a number was not finite, and its STEP is the step where. `sums`
    is room for two vectors: the losses and the scores of the batch so far, by lane.
    """
    memory = Memory(
        code=job.code.ctypes.data,
        constants=job.constants.ctypes.data,
        slots=job.slots.ctypes.data,
        gradients=job.gradients.ctypes.data,
        velocity=job.velocity.ctypes.data,
        kept=job.kept.ctypes.data,
        once=job.once.ctypes.data,
        once_gradients=job.once.ctypes.data + job.once_rows * BYTES,
        values=job.values.ctypes.data,
        value_gradients=job.values.ctypes.data + job.rows * job.stride,
        turned=job.turned.ctypes.data,
        packed=job.values.ctypes.data + 2 * job.rows * job.stride,
        marks=job.marks.ctypes.data,
        slot_vectors=job.slots.size // WIDTH,
        parameter_vectors=job.vectors,
    )
    losses, scores = sums.ctypes.data, sums.ctypes.data + BYTES
    order, outputs = window.order.ctypes.data, job.outputs.ctypes.data
    data, pitch = job.data.ctypes.data, 8 * job.data.shape[1]
    last, stride = job.code.shape[0], job.stride
    while budget > 0 and progress[STEP] < progress[UNTIL] and progress[STATUS] == GOING_ON:
        step, entry = progress[STEP], progress[LOGGED]
        logged = window.logged[step] != 0
        if progress[PHASE] == BEGIN:
            clear_gradients(memory, job.zero_grad)
            run_prologue(memory, job.prologue)
            for i in range(job.links.shape[0]):
                job.slots[job.links[i, 0]] = job.slots[job.links[i, 1]]
            descent.erase(losses, 2)
            progress[DONE] = 0
            progress[PHASE] = VALIDATE if logged and job.validation_size > 0 else TRAIN
        training = progress[PHASE] == TRAIN

        # One block of the batch, or of the validation rows.
        first = progress[DONE] + (window.starts[step] if training else 0)
        size = window.sizes[step] if training else job.validation_size
        weight = 1.0 / size if job.mean else 1.0
        examples = min(job.block, size - progress[DONE])
        vectors = (examples + WIDTH - 1) // WIDTH
        if examples < size or progress[LOADED] != first + 1:
            progress[LOADED] = first + 1 if examples == size else 0
            batch.gather(memory.values, stride, job.inputs, data, pitch, order + 8 * first, vectors)
        forward(
            memory.code, job.prologue, last, memory.constants, memory.values, stride, vectors,
            memory.slots,
        )  # fmt: skip
        rows.add_row(losses, memory.values + job.loss * stride, examples)
        if logged:
            batch.add_scores(
                scores, job.scoring, memory.values, stride, outputs, job.outputs.size,
                job.target, examples,
            )  # fmt: skip
        if training:
            rows.seed(memory.value_gradients + job.loss * stride, weight, examples)
            run_backward(
                memory, job.prologue, last, job.waist, job.waist_row, job.rows, stride, vectors
            )
        progress[DONE] += examples
        budget -= 1
        if progress[DONE] < size:
            continue

        # The last block: the loss is complete, and so are the gradients of the slots.
        loss = rows.sum_of(losses) * weight
        if not training:
            window.history[entry, VALIDATION_LOSS] = loss + descent.penalty(
                memory.slots, memory.parameter_vectors, job.l2, job.l1
            )
            window.history[entry, VALIDATION_SCORE] = rows.sum_of(scores)
            descent.erase(losses, 2)
            progress[DONE] = 0
            progress[PHASE] = TRAIN
            continue
        for i in range(job.links.shape[0]):
            job.gradients[job.links[i, 1]] += job.gradients[job.links[i, 0]]
        run_prologue_backward(memory, job.prologue)
        p, g, all_parameters = memory.slots, memory.gradients, memory.parameter_vectors
        if job.l2 > 0.0:
            loss += descent.add_l2(p, g, all_parameters, job.l2)
        if job.l1 > 0.0:
            loss += descent.add_l1(p, g, all_parameters, job.l1)
        if not math.isfinite(loss):
            progress[STATUS] = LOSS_NOT_FINITE
            continue
        clipping = job.clip_norm < math.inf
        norm = 0.0
        if clipping:
            norm = math.sqrt(descent.sum_of_squares(g, all_parameters))
            clip(memory, norm, job.clip_norm)
        if not job.zero_grad:
            descent.copy(memory.kept, memory.gradients, memory.parameter_vectors)
        squares = update(memory, window.rates[step], job.momentum, job.nesterov)
        if logged:
            window.history[entry, LOSS] = loss
            window.history[entry, SCORE] = rows.sum_of(scores)
            window.history[entry, NORM] = norm if clipping else math.sqrt(squares)
            progress[LOGGED] += 1
        if math.isnan(squares):
            progress[STATUS] = PARAMETERS_NOT_FINITE
            continue
        progress[STEP] += 1
        progress[PHASE] = BEGIN
    return budget


@inlined
def clear_gradients(memory: Memory, zero_grad: bool) -> None:
    descent.erase(memory.gradients, memory.slot_vectors)
    if not zero_grad:
        descent.copy(memory.gradients, memory.kept, memory.parameter_vectors)


@inlined
def run_prologue(memory: Memory, count: int) -> None:
    if count > 0:
        forward(memory.code, 0, count, memory.constants, memory.once, BYTES, 1, memory.slots)


@inlined
def run_prologue_backward(memory: Memory, count: int) -> None:
    if count > 0:
        backward(
            memory.code, 0, count, memory.constants, memory.once, memory.once_gradients, BYTES, 1,
            memory.slots, memory.gradients, memory.turned, memory.marks,
        )  # fmt: skip


@inlined
def run_backward(
    memory: Memory, first: int, last: int, waist: int, waist_row: int, height: int, stride: int,
    vectors: int,
) -> None:  # fmt: skip
    """Backward through the loss, then through the model with the examples it hands a gradient."""
    values, gradients = memory.values, memory.value_gradients
    backward(
        memory.code, waist, last, memory.constants, values, gradients, stride, vectors,
        memory.slots, memory.gradients, memory.turned, memory.marks,
    )  # fmt: skip
    if waist_row >= 0:
        row = gradients + waist_row * stride
        count = active.count(row, vectors)
        needed = (count + WIDTH - 1) // WIDTH
        # Timed: a packed vector costs twice one that lies where it was.
        if 2 * needed <= vectors:
            if needed > 0:
                active.find(memory.marks, row, vectors)
                batch.gather(memory.packed, stride, height, values, stride, memory.marks, needed)
                # In place: a vector is made of places at or behind its own.
                batch.gather(row, stride, 1, row, stride, memory.marks, needed)
                active.clear_after(row, count)
            values, vectors = memory.packed, needed
    backward(
        memory.code, first, waist, memory.constants, values, gradients, stride, vectors,
        memory.slots, memory.gradients, memory.turned, memory.marks,
    )  # fmt: skip


@inlined
def clip(memory: Memory, norm: float, longest: float) -> None:
    """Scales a gradient that is longer than `longest` down to that length."""
    scale = longest / (norm + 1e-6)
    if scale < 1.0:
        descent.scale_gradient(memory.gradients, memory.parameter_vectors, scale)


@inlined
def update(memory: Memory, rate: float, momentum: float, nesterov: bool) -> float:
    """Moves the parameters. The result is the sum of the squares of the gradient, or NaN when a
    parameter is no longer finite."""
    p, g, vectors = memory.slots, memory.gradients, memory.parameter_vectors
    if momentum > 0.0:
        return descent.descend_with_momentum(  # type: ignore[no-any-return]
            p, g, memory.velocity, vectors, rate, momentum, nesterov
        )
    return descent.descend(p, g, vectors, rate)  # type: ignore[no-any-return]
