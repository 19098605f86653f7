"""The graph of Values by which the loss of one row is computed, as the lecture draws it.

From left to right: each value is a box with its data and its gradient, and the operation that made
it stands in a circle before it. The layout is made here, so that Graphviz is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.autograd.drawing import shown, trace
from engine.autograd.value import Value
from engine.networks.forward import LayerParameters
from engine.networks.modules import MLP, Layer
from engine.spec.loss import ExampleLoss
from service.plots.svg import MARGIN, WIDTH, Picture, clipped, length

MOST_VALUES = 500
BOX = (112, 44)
GAP = 12
PILL = 22
"""The least width, and the height, of what holds an operation."""
SWEEPS = 12
"""Passes in which each column is arranged by the columns beside it."""


def loss_of(
    layers: Sequence[LayerParameters],
    inputs: Sequence[tuple[str, float]],
    targets: Sequence[float],
    formula: ExampleLoss,
) -> Value:
    """The loss of one row, with the gradients of all that it was computed from.

    `inputs` are names and numbers, as the first layer takes them.
    """
    made = []
    for number, layer in enumerate(layers, start=1):
        units, count = layer.weights.shape
        one = Layer(count, units, activation=layer.activation)
        for i, neuron in enumerate(one.neurons):
            for j, weight in enumerate(neuron.w):
                weight.data, weight.label = float(layer.weights[i, j]), f"w{number}[{i},{j}]"
            neuron.b.data, neuron.b.label = float(layer.biases[i]), f"b{number}[{i}]"
        made.append(one)
    row = []
    for name, x in inputs:
        value = Value(x)
        value.label = name
        row.append(value)
    outputs = MLP.of(made).outputs(row)
    for i, output in enumerate(outputs):
        output.label = output.label or ("output" if len(outputs) == 1 else f"output {i}")
    loss = formula(outputs, list(targets))
    loss.label = "loss"
    loss.backward()
    return loss


def document(loss: Value) -> dict[str, Any]:
    """The graph as JSON: nodes with operands first, and pairs of operand and result."""
    nodes, edges = trace(loss)
    number = {node: i for i, node in enumerate(nodes)}
    return {
        "nodes": [
            {
                "id": i,
                "label": node.label,
                "operation": node._op,
                "data": node.data,
                "grad": node.grad,
            }
            for node, i in number.items()
        ],
        "edges": [[number[operand], number[node]] for operand, node in edges],
    }


@dataclass(slots=True)
class Node:
    """A box: its place, and the boxes before and after it."""

    value: Value
    column: int
    operands: list[Node]
    results: list[Node]
    x: float = 0.0
    y: float = 0.0


def draw(loss: Value, *, title: str, note: str) -> Picture:
    nodes, _ = trace(loss)
    boxes = placed(nodes)
    columns = max(box.column for box in boxes) + 1
    low = min(box.y for box in boxes)
    step = BOX[0] + 36 + max(map(pill, nodes))
    width = 2 * MARGIN + (columns - 1) * step + BOX[0]
    height = max(box.y for box in boxes) - low + BOX[1] + 96
    picture = Picture(title, note, height, max(width, WIDTH))
    for box in boxes:
        box.x, box.y = MARGIN + box.column * step, box.y + 76 - low
    for box in boxes:
        for operand in box.operands:
            link(picture, operand, box)
    for box in boxes:
        node(picture, box)
    return picture


def placed(nodes: Sequence[Value]) -> list[Node]:
    """The boxes in columns: an operation right of its operands, and a leaf just before its use."""
    boxes: dict[Value, Node] = {}
    for value in nodes:
        operands = [boxes[operand] for operand in dict.fromkeys(value._prev)]
        column = 1 + max((box.column for box in operands), default=-1)
        boxes[value] = box = Node(value, column, operands, [])
        for operand in operands:
            operand.results.append(box)
    for box in boxes.values():
        if not box.operands and box.results:
            box.column = min(result.column for result in box.results) - 1
    columns: dict[int, list[Node]] = {}
    for box in boxes.values():
        columns.setdefault(box.column, []).append(box)
    for members in columns.values():
        for i, box in enumerate(members):
            box.y = (i - len(members) / 2) * (BOX[1] + GAP)
    for sweep in range(SWEEPS):
        for column in sorted(columns, reverse=sweep % 2 == 0):
            arrange(columns[column])
    return list(boxes.values())


def arrange(members: list[Node]) -> None:
    """Moves the boxes of a column beside what they are joined to, without overlaps."""
    wanted = {}
    for box in members:
        joined = [*box.operands, *box.results]
        wanted[id(box)] = sum(other.y for other in joined) / len(joined) if joined else box.y
    members.sort(key=lambda box: wanted[id(box)])
    step = BOX[1] + GAP
    below = None
    for box in members:
        want = wanted[id(box)]
        box.y = want if below is None else max(want, below + step)
        below = box.y
    shift = sum(box.y - wanted[id(box)] for box in members) / len(members)
    for box in members:
        box.y -= shift


def pill(value: Value) -> float:
    """The width of what holds the operation of a value; 0 where there is none."""
    return max(PILL, length(value._op, 11) + 10) if value._op else 0.0


def link(picture: Picture, operand: Node, box: Node) -> None:
    x1, y1 = operand.x + BOX[0], operand.y + BOX[1] / 2
    x2, y2 = box.x - pill(box.value) - 6, box.y + BOX[1] / 2
    middle = max((x2 - x1) / 2, 12)
    curve = f"M{x1:.1f} {y1:.1f}C{x1 + middle:.1f} {y1:.1f} "
    curve += f"{x2 - middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    picture.path(curve, "axis", width=1, opacity=0.7)


def node(picture: Picture, box: Node) -> None:
    x, y, value = box.x, box.y, box.value
    middle = y + BOX[1] / 2
    if value._op:
        wide = pill(value)
        picture.line((x - 6, middle), (x, middle), "axis")
        picture.rect(x - 6 - wide, middle - PILL / 2, wide, PILL, "box", PILL / 2)
        picture.text(x - 6 - wide / 2, middle + 4, value._op, size=11, anchor="middle")
    picture.rect(x, y, *BOX, "box", 6)
    label = clipped(value.label, BOX[0] - 16, 11)
    lines = [label] * bool(label) + [f"data {shown(value.data)}", f"grad {shown(value.grad)}"]
    first = middle + 4 - 6.5 * (len(lines) - 1)
    for i, line in enumerate(lines):
        bold = bool(label) and i == 0
        picture.text(x + 8, first + 13 * i, line, size=11, bold=bold, soft=not bold)
