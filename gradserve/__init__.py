"""Small neural networks, trained as jobs over HTTP or by hand in a notebook.

    from gradserve import Gradserve, Value, MLP

`Gradserve` is the Python client of the service; `Value`, `MLP` and their kin are the scalar
autograd engine. Each name loads what it needs when it is first used, so the engine's names need
the standard library alone.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import MLP, Layer, Module, Neuron, Value, draw_dot, log_sum_exp, softmax, trace
    from gradserve.client import Client, Gradserve
    from gradserve.errors import ClientError

__all__ = [
    "MLP",
    "Client",
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

if not TYPE_CHECKING:
    _HOMES = dict.fromkeys(__all__, "engine") | {
        "Client": "gradserve.client",
        "Gradserve": "gradserve.client",
        "ClientError": "gradserve.errors",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        home = _HOMES[name]
        if home == "engine":
            from gradserve.hidden import require

            require("engine")
        value = globals()[name] = getattr(import_module(home), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
