"""The arrays that the kernels work on, made from a program and its data."""

from __future__ import annotations

import math

import numpy as np

from engine.native import batch, zeros
from engine.native.jobs import Job
from engine.native.tracing import BYTES, WIDTH
from engine.native.weights import TURNED
from engine.nn import MLP
from engine.problem import Problem
from engine.program import Program
from engine.progress import Array
from engine.record import record
from engine.value import Value

BLOCK = 256
"""Examples that are worked on at once, at most."""


def program_of(problem: Problem, model: MLP) -> Program:
    """Records one example of the problem: the model's answer and the loss of it."""
    inputs = [Value(number) for number in problem.training.x[0].tolist()]
    targets = [Value(number) for number in problem.training.targets[0].tolist()]
    outputs = model.outputs(inputs)
    loss = problem.loss(outputs, targets)
    return record(loss, model.parameters(), [*inputs, *targets], outputs)


def job_of(problem: Problem, program: Program) -> Job:
    """Everything that stays where it is during a training; the parameters are yet to come."""
    spec = problem.spec
    clip_norm = spec.optimizer.clip_norm
    return allocate(program, columns(problem), min(BLOCK, problem.batches.size))._replace(
        target=problem.training.x.shape[1],
        scoring=scoring(problem),
        validation_size=0 if problem.validation is None else len(problem.validation),
        mean=spec.loss.reduction == "mean",
        l2=float(spec.loss.l2),
        l1=float(spec.loss.l1),
        momentum=float(spec.optimizer.momentum),
        nesterov=spec.optimizer.nesterov,
        clip_norm=math.inf if clip_norm is None else float(clip_norm),
        zero_grad=spec.training.zero_grad,
    )


def allocate(program: Program, data: Array, block: int) -> Job:
    """A job that sums the losses of its examples (columns of `data`) and penalises nothing."""
    vectors = whole_vectors(len(program.order))
    lanes = row_length(block)
    values = aligned(3 if program.waist else 2, program.rows, lanes)
    for row, number in program.fills:
        values[0, row] = number
    once = aligned(2, program.prologue_rows, WIDTH)
    for row, number in program.prologue_fills:
        once[0, row] = number
    waist, waist_row = program.waist or (len(program.code), -1)
    # One vector more than there is, because tiles read one number past the last weight.
    slots = WIDTH * (whole_vectors(program.slots) + 1)
    return Job(
        code=program.code,
        prologue=program.prologue,
        constants=program.constants,
        links=program.links,
        inputs=program.inputs,
        loss=program.loss,
        outputs=np.array(program.outputs, np.int64),
        slots=aligned(slots),
        gradients=aligned(slots),
        velocity=aligned(WIDTH * vectors),
        kept=aligned(WIDTH * vectors),
        vectors=vectors,
        once=once,
        once_rows=program.prologue_rows,
        values=values,
        rows=program.rows,
        stride=8 * lanes,
        block=block,
        waist=waist,
        waist_row=waist_row,
        turned=aligned(max(lanes * TURNED, zeros.room(lanes)), WIDTH),
        marks=np.zeros(
            max(lanes + WIDTH, program.rows * zeros.chunks(whole_vectors(lanes))), np.int64
        ),
        data=data,
    )


def scoring(problem: Problem) -> int:
    """How `Problem.score` compares outputs with targets."""
    if not problem.spec.classifies():
        return batch.ERROR
    return batch.LARGEST if problem.spec.loss.kind == "cross_entropy" else batch.SIGN


def columns(problem: Problem) -> Array:
    """Inputs and targets × examples: first the training rows, then the validation rows."""
    parts = [problem.training]
    if problem.validation is not None:
        parts.append(problem.validation)
    x = np.concatenate([part.x for part in parts])
    targets = np.concatenate([part.targets for part in parts])
    return np.ascontiguousarray(np.concatenate([x, targets], axis=1).T)


def whole_vectors(count: int) -> int:
    return -(-count // WIDTH)


def row_length(examples: int) -> int:
    """Lanes of a row: whole vectors, and not a multiple of 64.

    Rows a power of two apart would fall into the same few sets of the cache.
    """
    lanes = WIDTH * whole_vectors(examples)
    return lanes + WIDTH if lanes % 64 == 0 else lanes


def aligned(*shape: int) -> Array:
    """Zeros that begin where a cache line does."""
    count, spare = math.prod(shape), BYTES // 8
    whole = np.zeros(count + spare)
    first = -(whole.ctypes.data // 8) % spare
    return whole[first : first + count].reshape(shape)
