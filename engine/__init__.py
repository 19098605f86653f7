"""Scalar autograd, small networks and their training.

`from engine import Value, MLP` is all that a notebook needs, and loads nothing but the standard
library. Data sets, specifications and training are in modules of their own (`engine.spec`,
`engine.data.loading`, `engine.train`), because they import NumPy, pydantic and others.
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
