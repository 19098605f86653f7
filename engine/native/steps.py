"""Many steps of training in one call.

`run` takes the steps of a window one after the other: for each the prologue, the batch block by
block forward and backward, then the update. It can be left after any block and goes on where it
was, so a step may take longer than a slice; where it is left changes no bit.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import math
from typing import NamedTuple

from numba import njit

from engine.native import batch, descent, rows
from engine.native.blocks import backward, forward
from engine.native.cache import cached
from engine.native.tracing import WIDTH
from engine.program import Integers
from engine.progress import Array


class Job(NamedTuple):
    """What stays the same during a training; arrays are worked on in place.

    Attributes:
        code, prologue, constants, links, inputs, loss: those of the Program.
        outputs: the rows that the model answers with.
        target: the row of the first target.
        scoring: how outputs and targets are compared, see `engine.native.batch`.
        slots, gradients: parameters first, padded to whole vectors, and what else has a slot.
        velocity, kept: momentum, and the gradients that `zero_grad: false` has summed up.
        vectors: of the parameters.
        once, once_rows: values, then gradients, of the prologue's rows, one vector each.
        values, rows, stride: values, then gradients, of the rows; `stride` bytes a row.
        block: examples that a row has room for.
        data: inputs and targets × examples.
        validation_size: how many validation rows a window's `order` begins with.
        mean: whether the batch's loss is the mean of its examples'; else the sum.
        l2, l1, momentum, nesterov, clip_norm, zero_grad: as in a specification, clip_norm
            infinite when there is none.
    """

    code: Integers
    prologue: int
    constants: Array
    links: Integers
    inputs: int
    loss: int
    outputs: Integers
    slots: Array
    gradients: Array
    velocity: Array
    kept: Array
    vectors: int
    once: Array
    once_rows: int
    values: Array
    rows: int
    stride: int
    block: int
    data: Array
    target: int = 0
    scoring: int = batch.ERROR
    validation_size: int = 0
    mean: bool = False
    l2: float = 0.0
    l1: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    clip_norm: float = math.inf
    zero_grad: bool = True


class Window(NamedTuple):
    """Steps to take.

    Attributes:
        order: columns of the data: the validation rows, then each batch, each padded to whole
            vectors by repeating its last.
        starts, sizes: where the batch of each step begins in `order`, and its examples.
        rates: learning rates.
        logged: whether a step's numbers are wanted.
        history: logged steps × (LOSS … VALIDATION_SCORE), filled by `run`.
    """

    order: Integers
    starts: Integers
    sizes: Integers
    rates: Array
    logged: Integers
    history: Array


# Columns of a history.
LOSS, SCORE, NORM, VALIDATION_LOSS, VALIDATION_SCORE = range(5)

# Where a run stands.
STEP, PHASE, DONE, LOGGED, LOADED, STATUS = range(6)
BEGIN, VALIDATE, TRAIN = range(3)
GOING_ON, LOSS_NOT_FINITE, PARAMETERS_NOT_FINITE = range(3)

# Rows of `sums`, eight lanes each.
LOSSES, SCORES = range(2)

# Passing a whole Job to a function takes longer than some of them do, so they become part of
# `run`.
inlined = njit(error_model="numpy", nogil=True, inline="always")


@cached
def run(job: Job, window: Window, state: Integers, sums: Array, budget: int) -> int:
    """Takes the steps of the window until they are done or `budget` blocks are.

    Returns how many blocks are left. `state` says how far it came; when its STATUS is not
    GOING_ON a number was not finite, and `state[STEP]` is the step where.
    """
    while budget > 0 and state[STEP] < window.rates.size and state[STATUS] == GOING_ON:
        step = state[STEP]
        logged = window.logged[step] != 0
        if state[PHASE] == BEGIN:
            begin_step(job)
            descent.erase(sums.ctypes.data, 2)
            state[DONE] = 0
            state[PHASE] = VALIDATE if logged and job.validation_size > 0 else TRAIN
        training = state[PHASE] == TRAIN
        start = window.starts[step] if training else 0
        size = window.sizes[step] if training else job.validation_size
        examples = min(job.block, size - state[DONE])
        load_block(job, window, state, start + state[DONE], size, examples)
        answer_block(job, sums, examples, logged)
        if training:
            differentiate_block(job, size, examples)
        state[DONE] += examples
        budget -= 1
        if state[DONE] < size:
            continue
        if training:
            finish_step(job, window, state, sums)
        else:
            entry = window.history[state[LOGGED]]
            entry[VALIDATION_LOSS] = batch_loss(job, sums, size)
            entry[VALIDATION_SCORE] = rows.sum_of(sums.ctypes.data + 64 * SCORES)
            descent.erase(sums.ctypes.data, 2)
            state[DONE] = 0
            state[PHASE] = TRAIN
    return budget


@inlined
def begin_step(job: Job) -> None:
    """Clears gradients, and computes what depends on parameters alone."""
    slots, gradients = job.slots.ctypes.data, job.gradients.ctypes.data
    descent.erase(gradients, job.gradients.size // WIDTH)
    if not job.zero_grad:
        descent.copy(gradients, job.kept.ctypes.data, job.vectors)
    if job.prologue > 0:
        constants, once = job.constants.ctypes.data, job.once.ctypes.data
        forward(job.code, 0, job.prologue, constants, once, 8 * WIDTH, 1, slots)
    for i in range(job.links.shape[0]):
        job.slots[job.links[i, 0]] = job.slots[job.links[i, 1]]


@inlined
def load_block(
    job: Job, window: Window, state: Integers, first: int, size: int, examples: int
) -> None:
    """Fills the rows of inputs and targets, unless the same whole batch lies there already."""
    if examples == size and state[LOADED] == first + 1:
        return
    state[LOADED] = first + 1 if examples == size else 0
    order = window.order.ctypes.data + 8 * first
    vectors = (examples + WIDTH - 1) // WIDTH
    pitch = 8 * job.data.shape[1]
    values, data = job.values.ctypes.data, job.data.ctypes.data
    batch.gather(values, job.stride, job.inputs, data, pitch, order, vectors)


@inlined
def answer_block(job: Job, sums: Array, examples: int, scored: bool) -> None:
    """Forward, and the block's losses and scores."""
    constants, values, total = job.constants.ctypes.data, job.values.ctypes.data, sums.ctypes.data
    vectors = (examples + WIDTH - 1) // WIDTH
    slots = job.slots.ctypes.data
    last = job.code.shape[0]
    forward(job.code, job.prologue, last, constants, values, job.stride, vectors, slots)
    rows.add_row(total + 64 * LOSSES, values + job.loss * job.stride, examples)
    if scored:
        batch.add_scores(
            total + 64 * SCORES, job.scoring, values, job.stride, job.outputs.ctypes.data,
            job.outputs.size, job.target, examples,
        )  # fmt: skip


@inlined
def differentiate_block(job: Job, size: int, examples: int) -> None:
    """Backward, adding to the gradients of the slots."""
    vectors = (examples + WIDTH - 1) // WIDTH
    values = job.values.ctypes.data
    gradients = values + job.rows * job.stride
    weight = 1.0 / size if job.mean else 1.0
    rows.seed(gradients + job.loss * job.stride, weight, examples)
    backward(
        job.code, job.prologue, job.code.shape[0], job.constants.ctypes.data, values, gradients,
        job.stride, vectors, job.slots.ctypes.data, job.gradients.ctypes.data,
    )  # fmt: skip


@inlined
def batch_loss(job: Job, sums: Array, size: int) -> float:
    """The loss over `size` examples with its penalties."""
    total = sums.ctypes.data
    weight = 1.0 / size if job.mean else 1.0
    loss = rows.sum_of(total + 64 * LOSSES) * weight
    if job.l2 > 0.0 or job.l1 > 0.0:
        loss += descent.penalty(job.slots.ctypes.data, job.vectors, job.l2, job.l1)
    return loss  # type: ignore[no-any-return]


@inlined
def finish_step(job: Job, window: Window, state: Integers, sums: Array) -> None:
    """The rest of a step, once every example of its batch was differentiated."""
    step, entry = state[STEP], state[LOGGED]
    logged = window.logged[step] != 0
    slots, gradients = job.slots.ctypes.data, job.gradients.ctypes.data
    kept, velocity = job.kept.ctypes.data, job.velocity.ctypes.data
    rate = window.rates[step]
    loss = batch_loss(job, sums, window.sizes[step])
    if not math.isfinite(loss):
        state[STATUS] = LOSS_NOT_FINITE
        return
    for i in range(job.links.shape[0]):
        job.gradients[job.links[i, 1]] += job.gradients[job.links[i, 0]]
    if job.prologue > 0:
        once = job.once.ctypes.data
        backward(
            job.code, 0, job.prologue, job.constants.ctypes.data, once,
            once + job.once_rows * 8 * WIDTH, 8 * WIDTH, 1, slots, gradients,
        )  # fmt: skip
    norm = math.sqrt(descent.add_penalties(slots, gradients, job.vectors, job.l2, job.l1))
    if logged:
        window.history[entry, LOSS] = loss
        window.history[entry, SCORE] = rows.sum_of(sums.ctypes.data + 64 * SCORES)
        window.history[entry, NORM] = norm
        state[LOGGED] += 1
    scale = job.clip_norm / (norm + 1e-6)
    if scale < 1.0:
        descent.scale_gradient(gradients, job.vectors, scale)
    if not job.zero_grad:
        descent.copy(kept, gradients, job.vectors)
    if job.momentum > 0.0:
        check = descent.descend_with_momentum(
            slots, gradients, velocity, job.vectors, rate, job.momentum, job.nesterov
        )
    else:
        check = descent.descend(slots, gradients, job.vectors, rate)
    if check != 0.0:
        state[STATUS] = PARAMETERS_NOT_FINITE
        return
    state[STEP] += 1
    state[PHASE] = BEGIN
