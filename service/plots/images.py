"""Pictures of a finished job. Needs matplotlib, but neither a display nor pyplot's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from engine.arrays import Array
from engine.networks.predict import outputs

# Blue and vermilion of Okabe and Ito's palette: apart for every kind of colour vision.
BLUE, VERMILION, INK, LIGHT = "#0072B2", "#D55E00", "#222222", "#dcdcdc"
SCORES = LinearSegmentedColormap.from_list(
    "scores", ["#4f9fd0", "#b5d8ec", "#fafafa", "#f9d3b5", "#eb9257"]
)
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "savefig.dpi": 150,
}
FIGURE_SIZE = (7.2, 5.0)
BOUNDARY_POINTS = 400


def draw_loss(history: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Loss above accuracy, over the steps; the loss on a logarithmic scale if it stays above 0."""
    steps = [row["step"] for row in history]
    losses = [np.nan if row["loss"] is None else row["loss"] for row in history]
    scores = [np.nan if row["accuracy"] is None else row["accuracy"] for row in history]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        above.plot(steps, losses, color=BLUE, linewidth=1.8)
        above.set(title=title, ylabel="loss", yscale="log" if np.nanmin(losses) > 0 else "linear")
        above.yaxis.set_major_formatter("{x:g}")
        mark_last(above, steps[-1], losses[-1], f"{losses[-1]:.4g}", BLUE)
        below.plot(steps, scores, color=VERMILION, linewidth=1.8)
        below.set(xlabel="step", ylabel="accuracy", xlim=(0, max(steps[-1], 1)))
        below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        mark_last(below, steps[-1], scores[-1], f"{scores[-1]:.0%}", VERMILION)
        for axes in (above, below):
            axes.grid(color=LIGHT, linewidth=0.8)
            axes.set_axisbelow(True)
        figure.savefig(path)


def mark_last(axes: Axes, x: float, y: float, label: str, color: str) -> None:
    """A dot on a curve's end, and its value."""
    axes.plot([x], [y], "o", color=color, markersize=5, clip_on=False)
    axes.annotate(
        label,
        (x, y),
        xytext=(7, 0),
        textcoords="offset points",
        color=color,
        fontweight="bold",
        va="center",
        annotation_clip=False,
    )


def draw_decision_boundary(
    parameters: Mapping[str, Any], x: Array, y: Array, title: str, path: Path
) -> None:
    """The score over the plane, the line where it is zero, and the examples of both classes.

    `x` is rows × 2, `y` one label a row; a label above zero is the class of positive scores.
    """
    low, high = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
    across = np.linspace(low[0], high[0], BOUNDARY_POINTS)
    up = np.linspace(low[1], high[1], BOUNDARY_POINTS)
    points = np.stack(np.meshgrid(across, up), axis=-1)
    scores = outputs(parameters, points.reshape(-1, 2))[:, 0].reshape(points.shape[:2])
    # A few far corners would otherwise take up most of the colours.
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
