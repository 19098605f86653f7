"""JSON: the layers with their parameters, and what the model remembers of its data."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from engine.export.model import TrainedModel

VERSION = 1


def write(model: TrainedModel) -> bytes:
    """The model as one JSON object. Its numbers read back to the same bits.

    `layers` has the form of the API's parameters, so that another job can start from it, and
    `engine.networks.forward.layers_from` reads the whole object.
    """
    return (json.dumps(document(model), ensure_ascii=False, allow_nan=False) + "\n").encode()


def document(model: TrainedModel) -> dict[str, Any]:
    return {
        "format": "gradserve.model",
        "version": VERSION,
        "origin": asdict(model.origin),
        "layers": [
            {
                "weights": layer.weights.tolist(),
                "biases": layer.biases.tolist(),
                "activation": layer.activation,
            }
            for layer in model.layers
        ],
        "preprocessing": model.preprocessing.document(),
    }
