"""Drawings: the DOT text, and pictures with and without Graphviz."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from engine import Value, draw_dot, trace
from engine.autograd.drawing import DrawingError, Png, Svg

EXPECTED = r"""digraph {
  rankdir=LR
  v0 [shape=record label="{ a | data 2.0000 | grad -3.0000 }"]
  v1 [shape=record label="{ b\|\{c\} | data -3.0000 | grad 2.0000 }"]
  v2 [shape=record label="{ data -6.0000 | grad 1.0000 }"]
  v2_op [label="*"]
  v2_op -> v2
  v0 -> v2_op
  v1 -> v2_op
}
"""


def product() -> Value:
    root = Value(2.0, label="a") * Value(-3.0, label="b|{c}")
    root.backward()
    return root


@pytest.fixture
def graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a `dot` that a test writes, alone on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "dot"


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_trace_gives_nodes_and_edges() -> None:
    a, b = Value(2.0), Value(-3.0)
    c = a * b
    nodes, edges = trace(c + c)
    assert nodes[:3] == [a, b, c]
    assert edges == [(a, c), (b, c), (c, nodes[3])]


def test_dot_text() -> None:
    assert draw_dot(product(), format="dot") == EXPECTED
    assert "rankdir=TB" in draw_dot(product(), format="dot", rankdir="TB")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0000"),
        (1e-3, "0.0010"),
        (-999_999.5, "-999999.5000"),
        (3e-6, "3e-06"),
        (-0.000123456, "-0.0001235"),
        (1e6, "1e+06"),
        (-1e300, "-1e+300"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_small_and_large_numbers_keep_four_digits(number: float, text: str) -> None:
    leaf = Value(number)
    leaf.grad = number
    assert f"{{ data {text} | grad {text} }}" in draw_dot(leaf, format="dot")  # type: ignore[operator]


def test_large_graphs_are_refused() -> None:
    total = sum((Value(1.0) for _ in range(300)), Value(0.0))
    with pytest.raises(DrawingError, match="a graph of 601 values is too large to draw; 500"):
        draw_dot(total, format="dot")
    assert draw_dot(total, format="dot", limit=601)


def test_formats_and_directions_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="format must be svg, png or dot, not 'gif'"):
        draw_dot(product(), format="gif")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rankdir must be LR or TB"):
        draw_dot(product(), rankdir="RL")  # type: ignore[arg-type]


@pytest.mark.usefixtures("graphviz")
def test_without_graphviz_a_picture_is_a_clear_error_and_text_still_works() -> None:
    with pytest.raises(DrawingError, match=r"needs Graphviz.*format='dot'"):
        draw_dot(product())
    assert draw_dot(product(), format="dot") == EXPECTED


def test_graphviz_gets_the_text_and_the_format(graphviz: Path) -> None:
    script(graphviz, 'echo "$1"; while read -r line; do echo "$line"; done')
    svg = draw_dot(product(), format="svg")
    assert isinstance(svg, Svg)
    assert svg._repr_svg_().startswith("-Tsvg\ndigraph {")
    png = draw_dot(product(), format="png")
    assert isinstance(png, Png)
    assert png._repr_png_().startswith(b"-Tpng\n")


def test_graphviz_that_fails_is_explained(graphviz: Path) -> None:
    script(graphviz, 'echo "out of ink" >&2; exit 1')
    with pytest.raises(DrawingError, match="Graphviz failed: out of ink"):
        draw_dot(product())


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_a_real_picture() -> None:
    assert "<svg" in draw_dot(product(), format="svg")  # type: ignore[operator]
    assert bytes(draw_dot(product(), format="png")).startswith(b"\x89PNG")  # type: ignore[arg-type]
