"""`graph`: how the loss of one `row` is computed after `step` updates, as SVG, DOT or JSON."""

from __future__ import annotations

import json
import math

import numpy as np

from engine.autograd.drawing import dot_text, trace
from engine.inference import rows_of
from service.plots import network, scalar_graph
from service.plots.scalar_graph import MOST_VALUES
from worker.artifacts.work import Content, Work, WrongQuestion

VALUES_PER_PARAMETER = 2
"""A weight, and the sum or product that it goes into, at least."""


def compute(work: Work) -> Content:
    """The graph of Values; in SVG neurons and links instead where it has more than 500."""
    step, row, format = (work.arguments[name] for name in ("step", "row", "format"))
    rows, preprocessing = rows_of(work.spec), work.preprocessing
    if row >= len(rows.cells):
        raise WrongQuestion("/row", f"is {row}, but the rows are 0 to {len(rows.cells) - 1:,}")
    numbers = preprocessing.inputs(rows.cells[row : row + 1])[0].tolist()
    target = preprocessing.scaling.targets(rows.targets[row : row + 1])
    targets = work.spec.loss.encode(target, work.spec.sizes()[-1])[0].tolist()
    inputs = list(zip(preprocessing.input_names(), numbers, strict=True))
    layers = work.layers_at(step)
    title = f"{work.spec.name or work.job_id[:12]} · step {step:,}: row {row:,}"
    count = VALUES_PER_PARAMETER * work.spec.parameters()
    at_least = "at least "
    if count <= MOST_VALUES:
        with np.errstate(all="ignore"):
            loss = scalar_graph.loss_of(layers, inputs, targets, work.spec.loss.example())
        count, at_least = len(trace(loss)[0]), ""
        if count <= MOST_VALUES:
            note = f"the loss and what it is computed from: {count} values, with their gradients"
            if format == "svg":
                picture = scalar_graph.draw(loss, title=title, note=note)
                return Content(picture.svg().encode(), "image/svg+xml")
            if format == "dot":
                return Content(dot_text(loss, "LR", MOST_VALUES).encode(), "text/vnd.graphviz")
            found = scalar_graph.document(loss) | {"row": row, "step": step}
            for node in found["nodes"]:
                node |= {k: v if math.isfinite(v) else None for k, v in node.items() if k in FLOATS}
            return Content(json.dumps(found, allow_nan=False).encode(), "application/json")
    if format != "svg":
        raise WrongQuestion(
            "/format",
            f"the graph has {at_least}{count:,} values, and more than {MOST_VALUES} are not "
            "written out; format=svg draws neurons and links instead",
        )
    note = f"neurons and links: the graph has {at_least}{count:,} values, more than {MOST_VALUES}"
    picture = network.draw(layers, inputs, title=title, note=note)
    return Content(picture.svg().encode(), "image/svg+xml")


FLOATS = ("data", "grad")
