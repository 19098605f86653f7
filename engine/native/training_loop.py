"""Many steps of training in one call.

`run` takes the steps of a window one after the other: for each the prologue, the batch block by
block forward and backward, then the update. It can be left after any block and goes on where it
was, so a step may take longer than a slice; where it is left changes no bit.

The other functions become part of it. What they work on has addresses in the job's record and
is no array: numba counts references to arrays, atomically, and that took longer than a step of
a small network.
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
from engine.native.lanes.values import BYTES, WIDTH
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
    jobs: Records, order: Integers, steps: Records, history: Array, progress: Integers, budget: int
) -> int:
    """Takes the steps of a window before UNTIL, or as many as fit into `budget` blocks.

    `jobs` is the one record of a `Job`; the next three are the window's. Returns how many blocks
    are left. `progress` holds UNTIL and says how far it came; where its STATUS is not GOING_ON
    a number was not finite, and its STEP is the step where.
    """
    job = jobs[0]
    losses, scores = job.sums, job.sums + BYTES
    last, stride, p, g = job.instructions, job.stride, job.slots, job.gradients
    while budget > 0 and progress[STEP] < progress[UNTIL] and progress[STATUS] == GOING_ON:
        step, entry = steps[progress[STEP]], progress[LOGGED]
        logged = step.logged
        if progress[PHASE] == BEGIN:
            clear_gradients(job)
            run_prologue(job)
            descent.copy_links(p, job.links, job.link_count)
            descent.erase(losses, 2)
            progress[DONE] = 0
            progress[PHASE] = VALIDATE if logged and job.validation_size > 0 else TRAIN
        training = progress[PHASE] == TRAIN

        # One block of the batch, or of the validation rows.
        first = progress[DONE] + (step.start if training else 0)
        size = step.examples if training else job.validation_size
        weight = 1.0 / size if job.mean else 1.0
        examples = min(job.block, size - progress[DONE])
        vectors = (examples + WIDTH - 1) // WIDTH
        if examples < size or progress[LOADED] != first + 1:
            progress[LOADED] = first + 1 if examples == size else 0
            places = order.ctypes.data + 8 * first
            batch.gather(job.values, stride, job.inputs, job.data, job.pitch, places, vectors)
        forward(
            job.code, job.prologue, last, job.constants, job.values, stride, vectors, job.slots,
            job.turned, job.marks,
        )  # fmt: skip
        rows.add_row(losses, job.values + job.loss * stride, examples)
        if logged:
            batch.add_scores(
                scores, job.scoring, job.values, stride, job.outputs, job.output_count,
                job.target, examples,
            )  # fmt: skip
        if training:
            rows.seed(job.value_gradients + job.loss * stride, weight, examples)
            run_backward(job, vectors)
        progress[DONE] += examples
        budget -= 1
        if progress[DONE] < size:
            continue

        # The last block: the loss is complete, and so are the gradients of the slots.
        loss = rows.sum_of(losses) * weight
        if not training:
            history[VALIDATION_LOSS, entry] = loss + descent.penalty(p, job.vectors, job.l2, job.l1)
            history[VALIDATION_SCORE, entry] = score(job, job.validation_scale)
            descent.erase(losses, 2)
            progress[DONE] = 0
            progress[PHASE] = TRAIN
            continue
        descent.add_links(g, job.links, job.link_count)
        run_prologue_backward(job)
        if job.l2 > 0.0:
            loss += descent.add_l2(p, g, job.vectors, job.l2)
        if job.l1 > 0.0:
            loss += descent.add_l1(p, g, job.vectors, job.l1)
        if not math.isfinite(loss):
            progress[STATUS] = LOSS_NOT_FINITE
            continue
        clipping = job.clip_norm < math.inf
        norm = 0.0
        if clipping:
            norm = norm_of(job, descent.sum_of_squares(g, job.vectors))
            clip(job, norm)
        if not job.zero_grad:
            descent.copy(job.kept, g, job.vectors)
        squares = update(job, step.rate)
        if logged:
            history[LOSS, entry] = loss
            history[SCORE, entry] = score(job, step.scale)
            if not clipping:
                # A parameter that is no longer finite has made the sum NaN.
                diverged = math.isnan(squares)
                norm = norm_of(job, descent.sum_of_squares(g, job.vectors) if diverged else squares)
            history[NORM, entry] = norm
            progress[LOGGED] += 1
        if math.isnan(squares):
            progress[STATUS] = PARAMETERS_NOT_FINITE
            continue
        progress[STEP] += 1
        progress[PHASE] = BEGIN
    return budget


@inlined
def clear_gradients(job: Any) -> None:
    descent.erase(job.gradients, job.slot_vectors)
    if not job.zero_grad:
        descent.copy(job.gradients, job.kept, job.vectors)


@inlined
def run_prologue(job: Any) -> None:
    if job.prologue > 0:
        forward(
            job.code, 0, job.prologue, job.constants, job.once, BYTES, 1, job.slots, job.turned,
            job.marks,
        )  # fmt: skip


@inlined
def run_prologue_backward(job: Any) -> None:
    if job.prologue > 0:
        backward(
            job.code, 0, job.prologue, job.constants, job.once, job.once_gradients, BYTES, 1,
            job.slots, job.gradients, job.turned, job.marks,
        )  # fmt: skip


@inlined
def run_backward(job: Any, vectors: int) -> None:
    """Backward through the loss, then through the model with the examples it hands a gradient."""
    values, gradients, stride = job.values, job.value_gradients, job.stride
    backward(
        job.code, job.waist, job.instructions, job.constants, values, gradients, stride, vectors,
        job.slots, job.gradients, job.turned, job.marks,
    )  # fmt: skip
    if job.waist_row >= 0:
        row = gradients + job.waist_row * stride
        count = active.count(row, vectors)
        needed = (count + WIDTH - 1) // WIDTH
        # Timed: a packed vector costs twice one that lies where it was.
        if 2 * needed <= vectors:
            if needed > 0:
                active.find(job.marks, row, vectors)
                batch.gather(job.packed, stride, job.rows, values, stride, job.marks, needed)
                # In place: a vector is made of places at or behind its own.
                batch.gather(row, stride, 1, row, stride, job.marks, needed)
                active.clear_after(row, count)
            values, vectors = job.packed, needed
    backward(
        job.code, job.prologue, job.waist, job.constants, values, gradients, stride, vectors,
        job.slots, job.gradients, job.turned, job.marks,
    )  # fmt: skip


@inlined
def score(job: Any, scale: float) -> float:
    """`Problem.score` of a batch; NaN where it is not defined."""
    share = rows.sum_of(job.sums + BYTES) / scale
    return 1.0 - share if job.scoring == batch.ERROR else share  # type: ignore[no-any-return]


@inlined
def norm_of(job: Any, squares: float) -> float:
    """The length of the gradient, given the sum of its squares, as `optimizers.norm` has it.

    Squares overflow from 1e154 on and vanish below 1e-154: there the gradient is divided by its
    largest number before.
    """
    if squares == math.inf or squares < SMALLEST_NORMAL:
        unit = descent.largest(job.gradients, job.vectors)
        if 0.0 < unit < math.inf:
            scaled = descent.sum_of_scaled_squares(job.gradients, job.vectors, unit)
            return unit * math.sqrt(scaled)  # type: ignore[no-any-return]
    return math.sqrt(squares)


@inlined
def clip(job: Any, norm: float) -> None:
    """Scales a gradient that is too long down to the length it may have."""
    if norm == math.inf and descent.largest(job.gradients, job.vectors) < math.inf:
        # Each number is finite, only the length is not.
        descent.scale_gradient(job.gradients, job.vectors, FAR_SMALLER)
        norm = norm_of(job, descent.sum_of_squares(job.gradients, job.vectors))
    scale = job.clip_norm / (norm + 1e-6)
    if scale < 1.0:
        descent.scale_gradient(job.gradients, job.vectors, scale)


@inlined
def update(job: Any, rate: float) -> float:
    """Moves the parameters. The result is the sum of the squares of the gradient, or NaN when a
    parameter is no longer finite."""
    p, g, vectors = job.slots, job.gradients, job.vectors
    if job.momentum > 0.0:
        return descent.descend_with_momentum(  # type: ignore[no-any-return]
            p, g, job.velocity, vectors, rate, job.momentum, job.nesterov
        )
    return descent.descend(p, g, vectors, rate)  # type: ignore[no-any-return]
