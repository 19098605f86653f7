"""The records that kernels take: a workspace, and the steps of a window.

Both go to the kernels as records, a few arrays in all: what a call of a kernel costs is the
number of Python objects that it has to look into, and a tiny job makes a call for every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, get_type_hints

import numpy as np
import numpy.typing as npt

from engine.arrays import Array, Integers
from engine.native.kernels import batch

Records = npt.NDArray[np.void]

# Rows of a history.
LOSS, SCORE, VALIDATION_LOSS, VALIDATION_SCORE, NORM = range(5)

# The progress of a window: the entries of `progress`, and the values of PHASE and STATUS.
STEP, PHASE, DONE, LOGGED, LOADED, STATUS, UNTIL = range(7)
BEGIN, VALIDATE, TRAIN = range(3)
GOING_ON, LOSS_NOT_FINITE, PARAMETERS_NOT_FINITE = range(3)


class Memory(NamedTuple):
    """The addresses of a workspace's arrays, and their sizes.

    Attributes:
        code, instructions: the Program's code, and how many instructions it has.
        prologue, constants, inputs, loss: those of the Program.
        links, link_count: slots that repeat others, as in the Program.
        outputs, output_count: the rows of the model's outputs.
        slots, gradients: parameters first, padded to whole vectors, and what else has a slot.
        slot_vectors, vectors: how many vectors all slots take, and the parameters alone.
        velocity, kept: momentum, and the gradients that `zero_grad: false` has summed up.
        once, once_gradients: the prologue's rows, one vector each.
        values, value_gradients: the rows, `stride` bytes each.
        packed: with a waist, the values of the examples that pass it.
        rows, stride: how many rows there are, and the bytes of each.
        block: examples that a row has room for.
        waist, waist_row: those of the Program; without a waist all of the code, and -1.
        turned: room for what products turn, see `engine.native.kernels.weights` and `sparse`.
        marks: room for what is not 0, see `engine.native.kernels.active` and `sparse`.
        sums: room for two vectors: the losses and the scores of a batch so far, by lane.
        data, pitch: inputs and targets × examples, and the bytes of a row of it.
    """

    code: int
    instructions: int
    prologue: int
    constants: int
    inputs: int
    loss: int
    links: int
    link_count: int
    outputs: int
    output_count: int
    slots: int
    gradients: int
    slot_vectors: int
    vectors: int
    velocity: int
    kept: int
    once: int
    once_gradients: int
    values: int
    value_gradients: int
    packed: int
    rows: int
    stride: int
    block: int
    waist: int
    waist_row: int
    turned: int
    marks: int
    sums: int
    data: int
    pitch: int


class StepSettings(NamedTuple):
    """The options of steps beside the program.

    Attributes:
        target: the row of the first target.
        scoring: how outputs and targets are compared, see `engine.native.kernels.batch`.
        validation_size: how many validation rows a window's `order` begins with.
        validation_scale: what their score is divided by.
        mean: whether the batch's loss is the mean of its examples'; else the sum.
        l2, l1, momentum, nesterov, clip_norm, zero_grad: as in a specification, clip_norm
            infinite when there is none.
    """

    target: int = 0
    scoring: int = batch.ERROR
    validation_size: int = 0
    validation_scale: float = math.nan
    mean: bool = False
    l2: float = 0.0
    l1: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    clip_norm: float = math.inf
    zero_grad: bool = True


class StepRecord(NamedTuple):
    """One step.

    Attributes:
        start, examples: where its batch begins in a window's `order`, and how many there are.
        rate: the learning rate.
        scale: what the score of its batch is divided by; only where it is logged.
        logged: whether its numbers are wanted.
    """

    start: int
    examples: int
    rate: float
    scale: float
    logged: bool


KINDS = {int: np.int64, float: np.float64, bool: np.bool_}


def record_of(*parts: type) -> np.dtype[np.void]:
    """The record that has the fields of all parts, as kernels read it."""
    fields = [field for part in parts for field in get_type_hints(part).items()]
    return np.dtype([(name, KINDS[kind]) for name, kind in fields], align=True)


RECORD, STEP_RECORD = record_of(Memory, StepSettings), record_of(StepRecord)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The arrays that a training works on in place, and their record.

    Attributes:
        record: Memory and StepSettings as a RECORD; what `run` is given.
        slots, gradients, velocity, kept, marks: see Memory.
        values: values and gradients × rows × lanes; with a waist a third table.
        held: other arrays that the record has addresses of, kept alive.
    """

    record: Records
    slots: Array
    gradients: Array
    velocity: Array
    kept: Array
    values: Array
    marks: Integers
    held: tuple[npt.NDArray[Any], ...]

    @property
    def block(self) -> int:
        return int(self.record["block"][0])

    @property
    def mean(self) -> bool:
        return bool(self.record["mean"][0])

    def __reduce__(self) -> NoReturn:
        raise TypeError("a workspace cannot be copied or pickled: its record holds addresses")


class StepArrays(NamedTuple):
    """Steps to take.

    Attributes:
        order: columns of the data: the validation rows, then each batch, each padded to whole
            vectors by repeating its last.
        steps: one STEP_RECORD record each.
        history: (LOSS … NORM) × logged steps, filled by `run`.
    """

    order: Integers
    steps: Records
    history: Array


def no_progress(until: int = 0) -> Integers:
    """The progress of a window before its first step, of which `until` steps are to be taken."""
    progress = np.zeros(UNTIL + 1, np.int64)
    progress[UNTIL] = until
    return progress
