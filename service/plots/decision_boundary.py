"""The scores of a network over the plane of the two columns of its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.networks.predict import outputs
from service.plots.style import BLUE, FIGURE_SIZE, INK, STYLE, VERMILION

SCORES = LinearSegmentedColormap.from_list(
    "scores", ["#4f9fd0", "#b5d8ec", "#fafafa", "#f9d3b5", "#eb9257"]
)
BOUNDARY_POINTS = 400


def draw_decision_boundary(
    parameters: Mapping[str, Any],
    x: Array,
    y: Array,
    title: str,
    path: Path,
    preprocessing: Preprocessing | None = None,
) -> None:
    """Draws the score over the plane, the line where it is zero, and the examples.

    `parameters` is the document of `/parameters`, `x` is rows × 2, `y` one label per row; a label
    above zero belongs to the class of positive scores. `preprocessing` is that of the job, where
    it computes features or standardises.
    """
    low, high = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
    across = np.linspace(low[0], high[0], BOUNDARY_POINTS)
    up = np.linspace(low[1], high[1], BOUNDARY_POINTS)
    points = np.stack(np.meshgrid(across, up), axis=-1)
    cells = points.reshape(-1, 2)
    inputs = cells if preprocessing is None else preprocessing.inputs(cells)
    scores = outputs(parameters, inputs)[:, 0].reshape(points.shape[:2])
    # Without the percentile a few far corners would use up most of the colours.
    limit = max(1.0, float(np.round(np.percentile(np.abs(scores), 80))))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
        axes = figure.subplots()
        filled = axes.contourf(
            across, up, scores, levels=np.linspace(-limit, limit, 21), cmap=SCORES, extend="both"
        )
        axes.contour(
            across, up, scores, levels=[-1, 1], colors=INK, linewidths=0.9, linestyles="dashed"
        )
        axes.contour(across, up, scores, levels=[0], colors=INK, linewidths=2.2)
        for wanted, color, marker, name in (
            (False, BLUE, "o", "class 0"),
            (True, VERMILION, "^", "class 1"),
        ):
            of_class = x[(y > 0) == wanted]
            axes.scatter(
                of_class[:, 0],
                of_class[:, 1],
                s=46,
                c=color,
                marker=marker,
                edgecolors="white",
                linewidths=1.0,
                label=name,
                zorder=3,
            )
        axes.plot([], [], color=INK, linewidth=2.2, label="score 0")
        axes.plot([], [], color=INK, linewidth=0.9, linestyle="dashed", label="score ±1")
        axes.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
        figure.colorbar(
            filled, ax=axes, label="score", shrink=0.8, ticks=np.linspace(-limit, limit, 5)
        )
        figure.savefig(path)
