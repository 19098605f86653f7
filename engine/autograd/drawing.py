"""Graphs of Values as pictures: a box for each value, an ellipse for each operation.

This module writes DOT text. Graphviz draws the pictures with its program `dot`, which nothing
else needs.
"""

from __future__ import annotations

import subprocess
from typing import Literal

from engine.autograd.graphs import topological_order
from engine.autograd.value import Value

MAX_NODES = 500
Edge = tuple[Value, Value]


class DrawingError(Exception):
    """The graph cannot be drawn; the message says why, and what to do."""


class Svg(str):
    """SVG text, which a notebook shows as a picture."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


class Png(bytes):
    """The bytes of a PNG file, which a notebook shows as a picture."""

    __slots__ = ()

    def _repr_png_(self) -> bytes:
        return bytes(self)


def trace(root: Value) -> tuple[list[Value], list[Edge]]:
    """The nodes that `root` depends on, operands first, and an edge from operand to result."""
    nodes = topological_order(root)
    edges = dict.fromkeys((operand, node) for node in nodes for operand in node._prev)
    return nodes, list(edges)


def draw_dot(
    root: Value,
    format: Literal["svg", "png", "dot"] = "svg",
    rankdir: Literal["LR", "TB"] = "LR",
    limit: int = MAX_NODES,
) -> str | Svg | Png:
    """Draws the graph of `root`, from left to right or from top to bottom.

    Returns:
        DOT text, SVG text or the bytes of a PNG.

    Raises:
        ValueError: the format or the direction does not exist.
        DrawingError: the graph has more than `limit` values, or Graphviz is missing.
    """
    if format not in ("svg", "png", "dot"):
        raise ValueError(f"format must be svg, png or dot, not {format!r}")
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir must be LR or TB, not {rankdir!r}")
    text = dot_text(root, rankdir, limit)
    if format == "dot":
        return text
    picture = render(text, format)
    return Svg(picture.decode()) if format == "svg" else Png(picture)


def dot_text(root: Value, rankdir: str, limit: int) -> str:
    """The graph in Graphviz' language. The same graph always gives the same text."""
    nodes, edges = trace(root)
    if len(nodes) > limit:
        raise DrawingError(
            f"a graph of {len(nodes)} values is too large to draw; {limit} is the limit. "
            "Draw the graph of one example or of a smaller network"
        )
    names = {node: f"v{i}" for i, node in enumerate(nodes)}
    lines = ["digraph {", f"  rankdir={rankdir}"]
    for node, name in names.items():
        fields = [escape(node.label)] if node.label else []
        fields += [f"data {shown(node.data)}", f"grad {shown(node.grad)}"]
        lines.append(f'  {name} [shape=record label="{{ {" | ".join(fields)} }}"]')
        if node._op:
            lines.append(f'  {name}_op [label="{escape(node._op)}"]')
            lines.append(f"  {name}_op -> {name}")
    lines += [f"  {names[operand]} -> {names[node]}_op" for operand, node in edges]
    return "\n".join([*lines, "}", ""])


def shown(x: float) -> str:
    """Four decimals as in the lecture; four digits for numbers that are very small or large."""
    return f"{x:.4f}" if x == 0.0 or 1e-3 <= abs(x) < 1e6 else f"{x:.4g}"


def escape(text: str) -> str:
    """The text as part of a record label, where braces, bars and angle brackets have a meaning."""
    escaped = "".join(f"\\{c}" if c in '\\"{}|<>' else c for c in text)
    return escaped.replace("\n", "\\n").replace("\0", "")


def render(text: str, format: str) -> bytes:
    """Runs Graphviz. Raises DrawingError where it is missing or fails."""
    try:
        done = subprocess.run(  # nosec B603 B607 - Graphviz as it is installed, no shell
            ["dot", f"-T{format}"], input=text.encode(), capture_output=True, timeout=60, check=True
        )
    except FileNotFoundError:
        raise DrawingError(
            f"a picture in {format} needs Graphviz, but its program `dot` is not installed; "
            "install the package graphviz, or ask for the text with format='dot'"
        ) from None
    except subprocess.TimeoutExpired:
        raise DrawingError("Graphviz took more than a minute; draw a smaller graph") from None
    except subprocess.CalledProcessError as error:
        raise DrawingError(f"Graphviz failed: {error.stderr.decode(errors='replace')}") from None
    return done.stdout
