"""A training state as bytes and back, bit for bit.

safetensors: the state's arrays under their names, and the step as an array without dimensions.
"""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load, save

from engine.training.state import TrainingState

STEP = "step"


def encode(state: TrainingState) -> bytes:
    return save({**state.arrays(), STEP: np.asarray(state.step)})


def decode(data: bytes) -> TrainingState:
    arrays = load(data)
    step = int(arrays.pop(STEP))
    return TrainingState.of(step, arrays)
