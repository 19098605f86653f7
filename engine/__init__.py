"""Scalar autograd, small networks, and how they are trained.

`from engine import Value, MLP` is all a notebook needs: it loads the standard library and
nothing else. Data sets, specifications and training live in modules of their own
(`engine.spec`, `engine.data.loading`, `engine.train`), so that their heavier imports stay theirs.
"""

from engine import moved
from engine.autograd.drawing import draw_dot, trace
from engine.autograd.value import Value, log_sum_exp, softmax
from engine.networks.modules import MLP, Layer, Module, Neuron

__all__ = [
    "MLP",
    "Layer",
    "Module",
    "Neuron",
    "Value",
    "draw_dot",
    "log_sum_exp",
    "softmax",
    "trace",
]

moved.install()
