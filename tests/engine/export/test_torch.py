"""The safetensors in PyTorch, if that is installed (`make test-torch`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.export import FORMATS
from engine.networks.forward import forward
from tests.engine.export.models import DOCUMENTS, model

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

MODULES: dict[str, Any] = {
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softplus": torch.nn.Softplus,
    "gelu": torch.nn.GELU,
}


@pytest.mark.parametrize("kind", ["score", "sigmoid", "softmax", "value", *MODULES])
def test_a_file_is_the_state_of_a_sequential(tmp_path: Path, kind: str) -> None:
    from safetensors.torch import load_file

    found = model(DOCUMENTS[kind])
    path = tmp_path / "model.safetensors"
    path.write_bytes(FORMATS["safetensors"].write(found))
    modules = []
    for layer in found.layers:
        units, inputs = layer.weights.shape
        modules.append(torch.nn.Linear(inputs, units, dtype=torch.float64))
        if layer.activation != "linear":
            modules.append(MODULES[layer.activation]())
    network = torch.nn.Sequential(*modules)
    network.load_state_dict(load_file(path))
    inputs = np.random.default_rng(1).normal(size=(50, found.layers[0].weights.shape[1]))
    with torch.no_grad():
        theirs = network(torch.from_numpy(inputs)).numpy()
    assert theirs == pytest.approx(forward(found.layers, inputs), rel=1e-12, abs=1e-12)
