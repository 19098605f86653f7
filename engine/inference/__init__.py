"""Asking a trained network: rows go in as people have them, and answers come out by name.

`predict` and `evaluate` need what the model remembers of its data, which is a `Preprocessing`, and
its parameters as `layers_of` or `layers_from` of `engine.networks.forward` make them.
"""

from engine.data.preprocessing import Preprocessing
from engine.inference.evaluate import ClassScores, Evaluation, evaluate, rows_of
from engine.inference.predict import predict, preprocessing_of, read
from engine.inference.rows import Cells, InvalidRows

__all__ = [
    "Cells",
    "ClassScores",
    "Evaluation",
    "InvalidRows",
    "Preprocessing",
    "evaluate",
    "predict",
    "preprocessing_of",
    "read",
    "rows_of",
]
