"""safetensors, with the names that PyTorch gives the layers of an `nn.Sequential`."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save

from engine.arrays import Array
from engine.export.model import TrainedModel


def write(model: TrainedModel) -> bytes:
    """The parameters as tensors of float64: weights (units × inputs) and biases (units).

    The file is a `state_dict` of `nn.Sequential` with a `Linear` per layer, each followed by a
    module for its activation unless that is linear: `0.weight`, `0.bias`, `2.weight`, … The
    metadata hold the activations and the preprocessing as JSON.
    """
    tensors: dict[str, Array] = {}
    position = 0
    for layer in model.layers:
        tensors[f"{position}.weight"] = np.ascontiguousarray(layer.weights)
        tensors[f"{position}.bias"] = np.ascontiguousarray(layer.biases)
        position += 1 if layer.activation == "linear" else 2
    return bytes(save(tensors, metadata=model.metadata()))
