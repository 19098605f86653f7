"""Colours and sizes of all pictures."""

from __future__ import annotations

from typing import Any

# Blue and vermilion of Okabe and Ito's palette, distinct for every kind of colour vision.
BLUE, VERMILION, INK, LIGHT = "#0072B2", "#D55E00", "#222222", "#dcdcdc"
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
