"""Judged rows: how the worker packs them as an artifact, and how the API reads them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from engine.data.preprocessing import Preprocessing
from service.store.parameters import Floats

MEDIA_TYPE = "application/vnd.safetensors"


class Judged(NamedTuple):
    """A network judged on rows.

    Attributes:
        figures: JSON about all rows together.
        preprocessing: what the model remembers of its data.
        rows: the place of each row in its data set, from 0.
        cells: rows × columns, before anything is computed from them.
        targets: one per row, classes as positions.
        outputs: the network's outputs, rows × units.
        losses: one per row, NaN where it is not finite.
    """

    figures: dict[str, Any]
    preprocessing: Preprocessing
    rows: npt.NDArray[np.int64]
    cells: Floats
    targets: Floats
    outputs: Floats
    losses: Floats


ARRAYS = ("rows", "cells", "targets", "outputs", "losses")


def pack(judged: Judged) -> bytes:
    """The bytes from which `unpack` makes the same."""
    texts = {"figures": json.dumps(judged.figures), "model": judged.preprocessing.to_json()}
    tensors = {name: np.ascontiguousarray(getattr(judged, name)) for name in ARRAYS}
    for name, text in texts.items():
        tensors[name] = np.frombuffer(text.encode(), dtype=np.uint8)
    return save(tensors)


def unpack(data: bytes) -> Judged:
    tensors = load(data)
    return Judged(
        json.loads(tensors["figures"].tobytes()),
        Preprocessing.from_json(tensors["model"].tobytes().decode()),
        *(tensors[name] for name in ARRAYS),
    )
