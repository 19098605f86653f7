"""Final parameters: how they are packed, hashed, stored and read.

They are stored as safetensors, so that the bytes of the column open in any tool:
`layers.0.weights` (units × inputs), `layers.0.biases` (units), and so on, float64. The SHA-256
is that of the plain numbers, little-endian float64, neuron by neuron in layer order, each
neuron's weights then its bias, and does not depend on the packing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save
from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from service.common.errors import ParametersNotFound
from service.store.tables import Job, OwnedKey, Result

Floats = npt.NDArray[np.float64]


class Packed(NamedTuple):
    """Parameters ready to be stored, and the SHA-256 of their numbers."""

    data: bytes
    sha256: str


class LayerParameters(NamedTuple):
    weights: Floats  # units × inputs
    biases: Floats  # units


def pack(sizes: Sequence[int], parameters: Floats) -> Packed:
    """Packs the parameters of a network with these sizes (inputs, then units of each layer).

    `parameters` are in neuron order: each neuron's weights then its bias, layer by layer.
    """
    numbers = np.ascontiguousarray(parameters, dtype="<f8")
    tensors: dict[str, Floats] = {}
    for i, layer in enumerate(layers(sizes, numbers)):
        tensors[f"layers.{i}.weights"] = np.ascontiguousarray(layer.weights)
        tensors[f"layers.{i}.biases"] = np.ascontiguousarray(layer.biases)
    return Packed(save(tensors), sha256(numbers))


def layers(sizes: Sequence[int], parameters: Floats) -> list[LayerParameters]:
    """Parameters in neuron order as the layers of a network with these sizes."""
    found: list[LayerParameters] = []
    start = 0
    for inputs, units in pairwise(sizes):
        end = start + units * (inputs + 1)
        rows = parameters[start:end].reshape(units, inputs + 1)
        found.append(LayerParameters(rows[:, :-1], rows[:, -1]))
        start = end
    if start != parameters.size:
        raise ValueError(f"{parameters.size} parameters for a network of {start}")
    return found


def flat(layers: Sequence[LayerParameters]) -> Floats:
    """The inverse of `layers`: the parameters in neuron order."""
    rows = [np.column_stack((layer.weights, layer.biases)).ravel() for layer in layers]
    return np.concatenate(rows)


def sizes(units: Sequence[int], count: int) -> list[int]:
    """The sizes of a network with these units per layer and `count` parameters.

    The number of inputs follows from the others, without reading the data set.
    """
    after_first = sum(following * (before + 1) for before, following in pairwise(units))
    return [(count - after_first) // units[0] - 1, *units]


def sha256(parameters: Floats) -> str:
    """The SHA-256 of parameters in neuron order."""
    numbers = np.ascontiguousarray(parameters, dtype="<f8")
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def unpack(data: bytes) -> list[LayerParameters]:
    """The layers that `pack` packed, first to last."""
    tensors = load(data)
    return [
        LayerParameters(tensors[f"layers.{i}.weights"], tensors[f"layers.{i}.biases"])
        for i in range(len(tensors) // 2)
    ]


def store(session: Session, job_key: OwnedKey, *, step: int, packed: Packed) -> None:
    session.execute(
        _INSERT, {"job": job_key, "step": step, "data": packed.data, "sha256": packed.sha256}
    )


def result(session: Session, job_key: OwnedKey) -> Result | None:
    """The parameters with which a job has succeeded; None where it has not."""
    return session.scalars(_GET, {"of_job": job_key}).one_or_none()


def delivered_step(session: Session, job_key: OwnedKey) -> int | None:
    """The step of `result`, without reading it."""
    return session.scalars(_STEP, {"of_job": job_key}).one_or_none()


def get(session: Session, job: Job) -> Result:
    """As `result`.

    Raises:
        ParametersNotFound: it has none, because it has not succeeded.
    """
    found = result(session, job.pk)
    if found is None:
        raise ParametersNotFound(
            f"job {job.id} is {job.state}: it has parameters once it has succeeded"
        )
    return found


_INSERT = insert(Result.__table__)
_GET = select(Result).where(Result.job == bindparam("of_job"))
_STEP = select(Result.step).where(Result.job == bindparam("of_job"))
