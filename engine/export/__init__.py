"""A trained network as bytes that other programs read: safetensors, ONNX, JSON, plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from engine.export import document, onnx_graph, python_source, tensors
from engine.export.model import Origin, TrainedModel

__all__ = ["FORMATS", "Format", "Origin", "TrainedModel"]


class Format(NamedTuple):
    """A kind of file: what writes it, how its name ends, and its media type."""

    write: Callable[[TrainedModel], bytes]
    suffix: str
    media_type: str


FORMATS = {
    "safetensors": Format(tensors.write, ".safetensors", "application/vnd.safetensors"),
    "onnx": Format(onnx_graph.write, ".onnx", "application/octet-stream"),
    "json": Format(document.write, ".json", "application/json"),
    "python": Format(python_source.write, ".py", "text/x-python; charset=utf-8"),
}
"""Every format by its name."""
