"""Train small neural networks as jobs over HTTP, or on `Value`s in a notebook.

    from gradserve import Gradserve, Value, MLP

Each name is loaded when it is first used: `Value` and `MLP` need only the standard library,
`Gradserve` needs httpx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gradserve.shadowing import check_engine

if TYPE_CHECKING:
    from engine import MLP, Layer, Module, Neuron, Value, draw_dot, log_sum_exp, softmax, trace
    from gradserve.client import Gradserve
    from gradserve.errors import ClientError

__all__ = [
    "MLP",
    "ClientError",
    "Gradserve",
    "Layer",
    "Module",
    "Neuron",
    "Value",
    "draw_dot",
    "log_sum_exp",
    "softmax",
    "trace",
]

_ELSEWHERE = {"Gradserve": "gradserve.client", "ClientError": "gradserve.errors"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'gradserve' has no attribute {name!r}")
    home = _ELSEWHERE.get(name, "engine")
    if home == "engine":
        check_engine()
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
