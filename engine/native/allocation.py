"""The arrays that the kernels work on, made from a program and its data."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np

from engine.arrays import Array
from engine.autograd.value import Value
from engine.compiler.program import Program
from engine.compiler.record import record
from engine.native.kernels import batch, sparse, sparse_weights
from engine.native.kernels.weights import TURNED
from engine.native.lanes.values import BYTES, LANES
from engine.native.lanes.vectors import parts
from engine.native.records import RECORD, Memory, StepSettings, Workspace
from engine.native.window import spread
from engine.networks.modules import MLP
from engine.training.prepared import PreparedTraining

SCORINGS = {"distance": batch.ERROR, "sign": batch.SIGN, "largest": batch.LARGEST}
BLOCK = 256
"""The most examples that are worked on at once."""


def program_of(prepared: PreparedTraining, model: MLP) -> Program:
    """Records one example: the model's outputs and their loss."""
    inputs = [Value(number) for number in prepared.training.x[0].tolist()]
    targets = [Value(number) for number in prepared.training.targets[0].tolist()]
    outputs = model.outputs(inputs)
    loss = prepared.loss(outputs, targets)
    return record(loss, model.parameters(), [*inputs, *targets], outputs)


def workspace_of(prepared: PreparedTraining, program: Program) -> Workspace:
    """Everything that stays in place during a training; the parameters are not set yet."""
    spec, validation = prepared.spec, prepared.validation
    clip_norm = spec.optimizer.clip_norm
    settings = StepSettings(
        target=prepared.training.x.shape[1],
        scoring=scoring(prepared),
        validation_size=0 if validation is None else len(validation),
        validation_scale=math.nan if validation is None else spread(prepared, validation.targets),
        mean=spec.loss.reduction == "mean",
        l2=spec.loss.l2,
        l1=spec.loss.l1,
        momentum=spec.optimizer.momentum,
        nesterov=spec.optimizer.nesterov,
        clip_norm=math.inf if clip_norm is None else clip_norm,
        zero_grad=spec.training.zero_grad,
    )
    return allocate(program, columns(prepared), min(BLOCK, prepared.batches.size), settings)


def allocate(program: Program, data: Array, block: int, settings: StepSettings) -> Workspace:
    """A workspace for the examples that are the columns of `data`."""
    vectors, lanes = parts(len(program.order), LANES), row_length(block)
    # One vector more than there is, because products read up to seven numbers past the last weight.
    slot_vectors = parts(program.slots, LANES) + 1
    once, table = program.prologue_rows * LANES, program.rows * lanes
    marks = max(
        lanes + LANES,
        sparse_weights.masks_of(program.rows, parts(lanes, LANES)),
        sparse.masks_of(lanes, program.rows),
    )
    room = Room(
        slots=LANES * slot_vectors,
        gradients=LANES * slot_vectors,
        velocity=LANES * vectors,
        kept=LANES * vectors,
        once=2 * once,
        values=(3 if program.waist else 2) * table,
        turned=LANES
        * max(lanes * TURNED, sparse_weights.room(lanes), sparse.room(lanes, program.rows)),
        marks=marks,
        sums=2 * LANES,
    )
    values = room["values"].reshape(-1, program.rows, lanes)
    for row, number in program.fills:
        values[0, row] = number
    for row, number in program.prologue_fills:
        room["once"][LANES * row : LANES * (row + 1)] = number
    outputs = np.array(program.outputs, np.int64)
    waist, waist_row = program.waist or (len(program.code), -1)
    at = room.address
    memory = Memory(
        code=program.code.ctypes.data,
        instructions=len(program.code),
        prologue=program.prologue,
        constants=program.constants.ctypes.data,
        inputs=program.inputs,
        loss=program.loss,
        links=program.links.ctypes.data,
        link_count=len(program.links),
        outputs=outputs.ctypes.data,
        output_count=len(outputs),
        slots=at["slots"],
        gradients=at["gradients"],
        slot_vectors=slot_vectors,
        vectors=vectors,
        velocity=at["velocity"],
        kept=at["kept"],
        once=at["once"],
        once_gradients=at["once"] + 8 * once,
        values=at["values"],
        value_gradients=at["values"] + 8 * table,
        packed=at["values"] + 16 * table,
        rows=program.rows,
        stride=8 * lanes,
        block=block,
        waist=waist,
        waist_row=waist_row,
        turned=at["turned"],
        marks=at["marks"],
        sums=at["sums"],
        data=data.ctypes.data,
        pitch=8 * data.shape[1],
    )
    return Workspace(
        record=np.array([(*memory, *settings)], RECORD),
        slots=room["slots"],
        gradients=room["gradients"],
        velocity=room["velocity"],
        kept=room["kept"],
        values=values,
        marks=room["marks"].view(np.int64),
        held=(
            *(program.code, program.constants, program.links, outputs, data),
            *(room["once"], room["turned"], room["sums"]),
        ),
    )


class Room(dict[str, Array]):
    """Zeros by name, in one piece; each part begins where a cache line does.

    Attributes:
        address: of each part.
    """

    def __init__(self, **sizes: int) -> None:
        super().__init__()
        starts = [0, *accumulate(LANES * parts(size, LANES) for size in sizes.values())]
        whole = aligned(starts[-1])
        first = whole.ctypes.data
        self.address: dict[str, int] = {}
        for (name, size), start in zip(sizes.items(), starts, strict=False):
            self[name] = whole[start : start + size]
            self.address[name] = first + 8 * start


def scoring(prepared: PreparedTraining) -> int:
    """How `PreparedTraining.score` compares outputs with targets."""
    return SCORINGS[prepared.spec.loss.COMPARISON]


def columns(prepared: PreparedTraining) -> Array:
    """Inputs and targets × examples: first the training rows, then the validation rows."""
    sets = [prepared.training]
    if prepared.validation is not None:
        sets.append(prepared.validation)
    x = np.concatenate([each.x for each in sets])
    targets = np.concatenate([each.targets for each in sets])
    return np.ascontiguousarray(np.concatenate([x, targets], axis=1).T)


def row_length(examples: int) -> int:
    """Lanes of a row: whole vectors, and not a multiple of 64.

    Rows a power of two apart would fall into the same few sets of the cache.
    """
    lanes = LANES * parts(examples, LANES)
    return lanes + LANES if lanes % 64 == 0 else lanes


def aligned(*shape: int) -> Array:
    """Zeros that begin where a cache line does."""
    count, spare = math.prod(shape), BYTES // 8
    whole = np.zeros(count + spare)
    first = -(whole.ctypes.data // 8) % spare
    return whole[first : first + count].reshape(shape)
