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
    flat = np.ascontiguousarray(parameters, dtype="<f8")
    tensors: dict[str, Floats] = {}
    start = 0
    for i, (inputs, units) in enumerate(pairwise(sizes)):
        end = start + units * (inputs + 1)
        rows = flat[start:end].reshape(units, inputs + 1)
        tensors[f"layers.{i}.weights"] = np.ascontiguousarray(rows[:, :-1])
        tensors[f"layers.{i}.biases"] = np.ascontiguousarray(rows[:, -1])
        start = end
    if start != flat.size:
        raise ValueError(f"{flat.size} parameters for a network of {start}")
    return Packed(save(tensors), hashlib.sha256(flat.tobytes()).hexdigest())


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


def get(session: Session, job: Job) -> Result:
    """The final parameters of a job.

    Raises:
        ParametersNotFound: it has none, because it has not succeeded.
    """
    result = session.scalars(_GET, {"of_job": job.pk}).one_or_none()
    if result is None:
        raise ParametersNotFound(job.id, job.state)
    return result


_INSERT = insert(Result.__table__)
_GET = select(Result).where(Result.job == bindparam("of_job"))
