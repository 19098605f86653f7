"""The kinds of artifacts: what computes each, by the name under which it is stored.

A kind is a function `compute(work: Work) -> Content` in a module of its own in this folder, and a
line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.artifacts import evaluation, graph, model, parameters, plot, preprocessing
from worker.artifacts.work import Content, Work

KINDS: Mapping[str, Callable[[Work], Content]] = {
    "evaluation": evaluation.compute,
    "graph": graph.compute,
    "model": model.compute,
    "parameters": parameters.compute,
    "plot": plot.compute,
    "preprocessing": preprocessing.compute,
}
