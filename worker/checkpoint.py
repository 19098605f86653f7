"""A training state as bytes and back, bit for bit.

safetensors: every field of `engine.train.State` that is set, arrays as they are, single numbers
as arrays without dimensions. A field that a later version adds needs a default there and
nothing here.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from engine.train import State


def encode(state: State) -> bytes:
    given = {field.name: getattr(state, field.name) for field in fields(state)}
    return save({name: np.asarray(value) for name, value in given.items() if value is not None})


def decode(data: bytes) -> State:
    values: dict[str, Any] = {
        name: tensor if tensor.ndim else tensor.item() for name, tensor in load(data).items()
    }
    return State(**values)
