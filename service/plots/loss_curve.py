"""The loss and the accuracy of a job over its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from service.plots.style import BLUE, FIGURE_SIZE, LIGHT, STYLE, VERMILION

ACCURACY = "accuracy"


def draw_loss_curve(
    history: Sequence[Mapping[str, Any]], title: str, path: Path, score_name: str = ACCURACY
) -> None:
    """Draws the loss above the score, with a logarithmic axis where the loss stays above 0.

    `history` has one mapping per logged step, in order; its numbers may be None. `score_name` is
    that of its `accuracy`, which in a regression is R².
    """
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
        below.set(xlabel="step", ylabel=score_name, xlim=(0, max(steps[-1], 1)))
        percent = score_name == ACCURACY
        below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0) if percent else "{x:g}")
        last = f"{scores[-1]:.0%}" if percent else f"{scores[-1]:.3f}"
        mark_last(below, steps[-1], scores[-1], last, VERMILION)
        for axes in (above, below):
            axes.grid(color=LIGHT, linewidth=0.8)
            axes.set_axisbelow(True)
        figure.savefig(path)


def mark_last(axes: Axes, x: float, y: float, label: str, color: str) -> None:
    """Marks the end of a curve with a dot and its value."""
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
