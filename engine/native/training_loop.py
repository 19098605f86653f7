"""Many steps of training in one call.

`run` takes the steps of a window one after the other: for each the prologue, the batch block by
block forward and backward, then the update. It can be left after any block and continues there in
the next call, so a step may take longer than a slice; interruptions change no bit.

The other functions become part of it. They work on addresses from the workspace's record and not
on arrays: numba counts references to arrays, atomically, and that took longer than a step of a
small network.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import math
from typing import Any

from numba import njit

from engine.arrays import Array, Integers
from engine.native.interpreter import backward, forward
from engine.native.kernel_cache import cached
from engine.native.kernels import active, batch, descent, rows
from engine.native.lanes.values import BYTES, LANES
from engine.native.records import (
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
    Records,
)

SMALLEST_NORMAL = 2.0**-1022
FAR_SMALLER = 2.0**-100

inlined = njit(error_model="numpy", nogil=True, inline="always")


@cached
def run(
    workspaces: Records,
    order: Integers,
    steps: Records,
    history: Array,
    progress: Integers,
    budget: int,
) -> int:
    """Takes the steps of a window before UNTIL, or as many as fit into `budget` blocks.

    `workspaces` is the one record of a `Workspace`; the next three are the window's. Returns how
    many blocks are left. `progress` holds UNTIL and the progress so far; where its STATUS is not
    GOING_ON a number was not finite at its STEP.
    """
    mem = workspaces[0]
    losses, scores = mem.sums, mem.sums + BYTES
    last, stride, p, g = mem.instructions, mem.stride, mem.slots, mem.gradients
    while budget > 0 and progress[STEP] < progress[UNTIL] and progress[STATUS] == GOING_ON:
        step, entry = steps[progress[STEP]], progress[LOGGED]
        logged = step.logged
        if progress[PHASE] == BEGIN:
            clear_gradients(mem)
            run_prologue(mem)
            descent.copy_links(p, mem.links, mem.link_count)
            descent.erase(losses, 2)
            progress[DONE] = 0
            progress[PHASE] = VALIDATE if logged and mem.validation_size > 0 else TRAIN
        training = progress[PHASE] == TRAIN

        # One block of the batch, or of the validation rows.
        first = progress[DONE] + (step.start if training else 0)
        size = step.examples if training else mem.validation_size
        weight = 1.0 / size if mem.mean else 1.0
        examples = min(mem.block, size - progress[DONE])
        vectors = (examples + LANES - 1) // LANES
        if examples < size or progress[LOADED] != first + 1:
            progress[LOADED] = first + 1 if examples == size else 0
            places = order.ctypes.data + 8 * first
            batch.gather(mem.values, stride, mem.inputs, mem.data, mem.pitch, places, vectors)
        forward(
            mem.code, mem.prologue, last, mem.constants, mem.values, stride, vectors, mem.slots,
            mem.turned, mem.marks,
        )  # fmt: skip
        rows.add_row(losses, mem.values + mem.loss * stride, examples)
        if logged:
            batch.add_scores(
                scores, mem.scoring, mem.values, stride, mem.outputs, mem.output_count,
                mem.target, examples,
            )  # fmt: skip
        if training:
            rows.seed(mem.value_gradients + mem.loss * stride, weight, examples)
            run_backward(mem, vectors)
        progress[DONE] += examples
        budget -= 1
        if progress[DONE] < size:
            continue

        # The last block: the loss is complete, and so are the gradients of the slots.
        loss = rows.sum_of(losses) * weight
        if not training:
            history[VALIDATION_LOSS, entry] = loss + descent.penalty(p, mem.vectors, mem.l2, mem.l1)
            history[VALIDATION_SCORE, entry] = score(mem, mem.validation_scale)
            descent.erase(losses, 2)
            progress[DONE] = 0
            progress[PHASE] = TRAIN
            continue
        descent.add_links(g, mem.links, mem.link_count)
        run_prologue_backward(mem)
        if mem.l2 > 0.0:
            loss += descent.add_l2(p, g, mem.vectors, mem.l2)
        if mem.l1 > 0.0:
            loss += descent.add_l1(p, g, mem.vectors, mem.l1)
        if logged:
            # Before the loss is looked at: an evaluation reads them whether it is finite or not.
            history[LOSS, entry] = loss
            history[SCORE, entry] = score(mem, step.scale)
        if not math.isfinite(loss):
            progress[STATUS] = LOSS_NOT_FINITE
            continue
        clipping = mem.clip_norm < math.inf
        norm = 0.0
        if clipping:
            norm = norm_of(mem, descent.sum_of_squares(g, mem.vectors))
            clip(mem, norm)
        if not mem.zero_grad:
            descent.copy(mem.kept, g, mem.vectors)
        squares = update(mem, step.rate)
        if logged:
            if not clipping:
                # A parameter that is no longer finite has made the sum NaN.
                diverged = math.isnan(squares)
                norm = norm_of(mem, descent.sum_of_squares(g, mem.vectors) if diverged else squares)
            history[NORM, entry] = norm
            progress[LOGGED] += 1
        if math.isnan(squares):
            progress[STATUS] = PARAMETERS_NOT_FINITE
            continue
        progress[STEP] += 1
        progress[PHASE] = BEGIN
    return budget


@inlined
def clear_gradients(mem: Any) -> None:
    descent.erase(mem.gradients, mem.slot_vectors)
    if not mem.zero_grad:
        descent.copy(mem.gradients, mem.kept, mem.vectors)


@inlined
def run_prologue(mem: Any) -> None:
    if mem.prologue > 0:
        forward(
            mem.code, 0, mem.prologue, mem.constants, mem.once, BYTES, 1, mem.slots, mem.turned,
            mem.marks,
        )  # fmt: skip


@inlined
def run_prologue_backward(mem: Any) -> None:
    if mem.prologue > 0:
        backward(
            mem.code, 0, mem.prologue, mem.constants, mem.once, mem.once_gradients, BYTES, 1,
            mem.slots, mem.gradients, mem.turned, mem.marks,
        )  # fmt: skip


@inlined
def run_backward(mem: Any, vectors: int) -> None:
    """Backward through the loss, then through the model with the examples it hands a gradient."""
    values, gradients, stride = mem.values, mem.value_gradients, mem.stride
    backward(
        mem.code, mem.waist, mem.instructions, mem.constants, values, gradients, stride, vectors,
        mem.slots, mem.gradients, mem.turned, mem.marks,
    )  # fmt: skip
    if mem.waist_row >= 0:
        row = gradients + mem.waist_row * stride
        count = active.count(row, vectors)
        needed = (count + LANES - 1) // LANES
        # Timed: a packed vector costs twice one that lies where it was.
        if 2 * needed <= vectors:
            if needed > 0:
                active.find(mem.marks, row, vectors)
                batch.gather(mem.packed, stride, mem.rows, values, stride, mem.marks, needed)
                # In place: a vector is made of places at or behind its own.
                batch.gather(row, stride, 1, row, stride, mem.marks, needed)
                active.clear_after(row, count)
            values, vectors = mem.packed, needed
    backward(
        mem.code, mem.prologue, mem.waist, mem.constants, values, gradients, stride, vectors,
        mem.slots, mem.gradients, mem.turned, mem.marks,
    )  # fmt: skip


@inlined
def score(mem: Any, scale: float) -> float:
    """`PreparedTraining.score` of a batch; NaN where it is not defined."""
    share = rows.sum_of(mem.sums + BYTES) / scale
    return 1.0 - share if mem.scoring == batch.ERROR else share  # type: ignore[no-any-return]


@inlined
def norm_of(mem: Any, squares: float) -> float:
    """The length of the gradient, given the sum of its squares, as `optimizers.norm` has it.

    Squares overflow from 1e154 on and vanish below 1e-154: there the gradient is divided by its
    largest number before.
    """
    if squares == math.inf or squares < SMALLEST_NORMAL:
        unit = descent.largest(mem.gradients, mem.vectors)
        if 0.0 < unit < math.inf:
            scaled = descent.sum_of_scaled_squares(mem.gradients, mem.vectors, unit)
            return unit * math.sqrt(scaled)  # type: ignore[no-any-return]
    return math.sqrt(squares)


@inlined
def clip(mem: Any, norm: float) -> None:
    """Scales a gradient that is too long down to the length it may have."""
    if norm == math.inf and descent.largest(mem.gradients, mem.vectors) < math.inf:
        # Each number is finite, only the length is not.
        descent.scale_gradient(mem.gradients, mem.vectors, FAR_SMALLER)
        norm = norm_of(mem, descent.sum_of_squares(mem.gradients, mem.vectors))
    scale = mem.clip_norm / (norm + 1e-6)
    if scale < 1.0:
        descent.scale_gradient(mem.gradients, mem.vectors, scale)


@inlined
def update(mem: Any, rate: float) -> float:
    """Moves the parameters. The result is the sum of the squares of the gradient, or NaN when a
    parameter is no longer finite."""
    p, g, vectors = mem.slots, mem.gradients, mem.vectors
    if mem.momentum > 0.0:
        return descent.descend_with_momentum(  # type: ignore[no-any-return]
            p, g, mem.velocity, vectors, rate, mem.momentum, mem.nesterov
        )
    return descent.descend(p, g, vectors, rate)  # type: ignore[no-any-return]
