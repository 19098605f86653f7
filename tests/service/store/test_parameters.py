"""Final parameters are packed without any loss."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from safetensors.numpy import load

from service.store import parameters


def test_layers_are_cut_from_neuron_order() -> None:
    # 2 inputs, 3 units, 1 unit: (w, w, b) three times, then (w, w, w, b).
    packed = parameters.pack([2, 3, 1], np.arange(13.0))
    first, second = parameters.unpack(packed.data)
    assert first.weights.tolist() == [[0, 1], [3, 4], [6, 7]]
    assert first.biases.tolist() == [2, 5, 8]
    assert second.weights.tolist() == [[9, 10, 11]]
    assert second.biases.tolist() == [12]


def test_any_safetensors_reader_opens_them() -> None:
    packed = parameters.pack([2, 1], np.array([0.1, -0.0, 5e-324]))
    tensors = load(packed.data)
    assert set(tensors) == {"layers.0.weights", "layers.0.biases"}
    assert tensors["layers.0.weights"].tobytes() == struct.pack("<dd", 0.1, -0.0)


def test_the_hash_is_that_of_the_plain_numbers() -> None:
    numbers = [0.1, -0.0, 1 / 3]
    expected = hashlib.sha256(struct.pack("<3d", *numbers)).hexdigest()
    assert parameters.pack([2, 1], np.array(numbers)).sha256 == expected


def test_parameters_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="4 parameters"):
        parameters.pack([2, 1], np.zeros(4))
