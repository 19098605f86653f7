"""What the kernels are given: a job, and windows of its steps."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.native import batch
from engine.program import Integers
from engine.progress import Array

# Columns of a history.
LOSS, SCORE, NORM, VALIDATION_LOSS, VALIDATION_SCORE = range(5)

# Where a window stands: what `progress` holds, and what its PHASE and its STATUS can be.
STEP, PHASE, DONE, LOGGED, LOADED, STATUS, UNTIL = range(7)
BEGIN, VALIDATE, TRAIN = range(3)
GOING_ON, LOSS_NOT_FINITE, PARAMETERS_NOT_FINITE = range(3)


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
        values, rows, stride: values, then gradients, of the rows, `stride` bytes a row; with a
            waist then the values of the examples that pass it.
        block: examples that a row has room for.
        waist, waist_row: those of the Program; without a waist all of the code, and -1.
        turned: room for inputs whose lanes are columns, see `engine.native.weights`.
        marks: room for what is not 0, see `engine.native.active` and `engine.native.zeros`.
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
    waist: int
    waist_row: int
    turned: Array
    marks: Integers
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


def no_progress(until: int = 0) -> Integers:
    """Where a window stands before its first step, with so many of its steps to take."""
    progress = np.zeros(UNTIL + 1, np.int64)
    progress[UNTIL] = until
    return progress
