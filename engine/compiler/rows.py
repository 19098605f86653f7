"""Fused nodes in batches, with a row for every value and a slot for every parameter.

What `record` found in a graph arrives here as nodes in order of evaluation. A level is
one more than the highest level among the operands; nodes of a level do not depend on each
other, so those that do the same are done together: dot products of the same inputs are one
matrix, elementwise operations on neighbouring rows one instruction. Rows are given out so that
there are neighbours: first the inputs, then the outputs of each matrix in one block, then the
operands of matrices that lie nowhere yet. `engine.compiler.emit` writes the instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter

from engine.autograd.value import Value
from engine.compiler.program import LEAKY_RELU, LINEAR, LOG_SUM_EXP, MATRIX, RELU, STORE, Op


@dataclass(eq=False, slots=True)
class Node:
    """A row to be computed; with op None a leaf: an input, or a constant.

    Attributes:
        operands: one tuple for all dot products of the same values.
        numbers: constants of the operation, or the number of a constant leaf.
        trained: whether it depends on a parameter and so has a gradient.
        weights: MATRIX: the coefficient of each operand.
        bias: MATRIX: what is added, or None.
        source: LOAD, STORE: the parameter, or the value of the prologue.
        uses: how many nodes read it.
        in_place: whether it lies in the row of its first operand.
        over: where it lies in place, the node that got this row first.
        relu: MATRIX: whether the relu after it is done with it.
        level: how many operations lie between it and the leaves, at most.
        row: where it lies, counted within its stage.
    """

    op: Op | None
    operands: tuple[Node, ...] = ()
    numbers: tuple[float, ...] = ()
    trained: bool = False
    weights: Sequence[Value] = ()
    bias: Value | None = None
    source: Value | None = None
    uses: int = 0
    in_place: bool = False
    over: Node | None = None
    relu: bool = False
    level: int = 0
    row: int = -1

    def base(self) -> Node:
        """The node in whose row this one lies."""
        return self.over or self

    def lie_over(self, operand: Node) -> None:
        self.in_place = True
        self.over = operand.base()


@dataclass(frozen=True, slots=True)
class Fused:
    """A graph as nodes, operands first.

    Attributes:
        parameters: each parameter with its place in the model.
        inputs: the leaves that the data fills.
        body: what differs from example to example.
        outputs: nodes that stay readable after a pass.
        prologue: what depends on parameters alone, with the STOREs that hand it on.
        stored: the values that those STOREs put into slots.
    """

    parameters: dict[Value, int]
    inputs: list[Node]
    body: list[Node]
    outputs: list[Node]
    loss: Node
    prologue: list[Node]
    stored: list[Value]


# The rules of these look at the result and not at the operand, so the result may lie in the
# operand's row. Those of the others here look at it too, so nothing may lie over it.
FROM_RESULT = frozenset({Op.EXP, Op.TANH, Op.SIGMOID, Op.SQRT, RELU, LEAKY_RELU})
READ_RESULT = FROM_RESULT | {Op.DIVIDE, Op.POWER, LOG_SUM_EXP}


class Stage:
    """The nodes of one stage in batches that can each be done at once, and their rows."""

    def __init__(
        self, nodes: Sequence[Node], inputs: Sequence[Node], pinned: Sequence[Node]
    ) -> None:
        self.rows = 0
        self.fills: list[tuple[int, float]] = []
        count_uses(nodes, pinned)
        for node in nodes:
            overwrite_operand(node)
        fuse_relus(nodes)
        self.batches = batches(nodes)
        self.place(inputs)
        for batch in self.batches:
            if batch[0].op is MATRIX:
                self.place(batch)
        for batch in self.batches:
            if batch[0].op in (MATRIX, LOG_SUM_EXP):
                self.place_together(batch[0].operands)
        for batch in self.batches:
            self.place(batch)
            for node in batch:
                self.place(node.operands)
        self.place(pinned)

    def place(self, nodes: Iterable[Node]) -> None:
        """Gives a row to each of the nodes that lies nowhere yet."""
        for node in nodes:
            base = node.base()
            if base.row < 0 and base.op is not STORE:
                base.row = self.new_rows(1)
                if base.op is None and base.numbers:
                    self.fills.append((base.row, base.numbers[0]))

    def place_together(self, nodes: Sequence[Node]) -> None:
        """Gives the nodes rows side by side, unless one of them lies somewhere already."""
        bases = [node.base() for node in nodes]
        if all(base.row < 0 for base in bases) and len(set(bases)) == len(bases):
            self.place(bases)

    def new_rows(self, count: int) -> int:
        self.rows += count
        return self.rows - count


def count_uses(nodes: Sequence[Node], pinned: Sequence[Node]) -> None:
    """Counts readers; a matrix reads its operands once, however many rows it has."""
    seen: set[int] = set()
    for node in nodes:
        if node.op is MATRIX:
            if id(node.operands) in seen:
                continue
            seen.add(id(node.operands))
        for operand in node.operands:
            operand.uses += 1
    for node in pinned:
        node.uses += 1


def overwrite_operand(node: Node) -> None:
    """Lays a node over its operand where nobody else reads that and its rule does not miss it."""
    if node.op is LINEAR:
        constant, *coefficients = node.numbers
        # The first two may change places, as their sum is the same; others would be added
        # in another order than before, which rounds differently.
        for i, operand in enumerate(node.operands[:2]):
            if is_free(operand) and (coefficients[i] == 1.0 or len(node.operands) == 1):
                rest = [n for n in range(len(node.operands)) if n != i]
                node.operands = (operand, *(node.operands[n] for n in rest))
                node.numbers = (constant, coefficients[i], *(coefficients[n] for n in rest))
                node.lie_over(operand)
                return
    elif node.op in FROM_RESULT and is_free(node.operands[0]) and keeps_sign(node):
        node.lie_over(node.operands[0])


def keeps_sign(node: Node) -> bool:
    """Whether the result has the sign that the rule of a leaky relu asks for."""
    return node.op is not LEAKY_RELU or node.numbers[0] > 0.0


def is_free(operand: Node) -> bool:
    return operand.op is not None and operand.op not in READ_RESULT and operand.uses == 1


def fuse_relus(nodes: Sequence[Node]) -> None:
    """Makes the relus over all rows of a matrix part of it."""
    relus = {
        node.operands[0]: node
        for node in nodes
        if node.op is RELU and node.in_place and node.operands[0].op is MATRIX
    }
    matrices: dict[tuple[int, bool], list[Node]] = {}
    for node in nodes:
        if node.op is MATRIX:
            matrices.setdefault(matrix_key(node), []).append(node)
    for rows in matrices.values():
        if relus.keys() >= set(rows):
            for row in rows:
                row.relu = True
                relus[row].op = None


def matrix_key(node: Node) -> tuple[int, bool]:
    return id(node.operands), node.bias is None


def batches(nodes: Sequence[Node]) -> list[list[Node]]:
    """Nodes of the same level that do the same thing, level by level."""
    levels: dict[int, int] = {}
    found: dict[tuple[object, ...], list[Node]] = {}
    for node in nodes:
        op, operands = node.op, node.operands
        key: tuple[object, ...]
        if op is MATRIX:
            level = levels.get(id(operands))
            if level is None:
                level = levels[id(operands)] = level_over(operands)
            key = (level, op, *matrix_key(node))
        else:
            level = level_over(operands)
            key = (level, op, node.in_place, node.numbers, *[o.trained for o in operands])
        node.level = level
        if op is not None:
            found.setdefault(key, []).append(node)
    return [found[key] for key in sorted(found, key=itemgetter(0))]


def level_over(operands: Iterable[Node]) -> int:
    """One more than the highest level, or 0."""
    return max([operand.level for operand in operands], default=-1) + 1


class Slots:
    """Where each parameter and each value of the prologue is kept.

    A matrix reads its weights from neighbouring slots, row by row, each bias after its row.
    Where all of them are parameters that lie nowhere yet, they come to lie there; a matrix of
    the same parameters is read from the same place; any other gets copies.
    """

    def __init__(
        self, parameters: dict[Value, int], stored: Sequence[Value], stages: Iterable[Stage]
    ) -> None:
        self.order: list[int] = []
        self.slot: dict[Value, int] = {}
        self.links: list[tuple[int, int]] = []
        self.start: dict[Node, int] = {}
        copied: dict[tuple[Value, ...], list[Node]] = {}
        starts: dict[tuple[Value, ...], int] = {}
        for stage in stages:
            for batch in stage.batches:
                if batch[0].op is not MATRIX:
                    continue
                weights = coefficients(batch)
                if weights not in starts and not self.claim(weights, parameters, starts):
                    copied.setdefault(weights, []).append(batch[0])
                else:
                    self.start[batch[0]] = starts[weights]
        self.add(tuple([p for p in parameters if p not in self.slot]), parameters)
        self.count = -(-len(self.order) // 8) * 8
        for value in stored:
            self.slot[value] = self.count
            self.count += 1
        for weights, nodes in copied.items():
            self.links += [(self.count + i, self.slot[w]) for i, w in enumerate(weights)]
            self.start.update(dict.fromkeys(nodes, self.count))
            self.count += len(weights)

    def claim(
        self,
        weights: tuple[Value, ...],
        parameters: dict[Value, int],
        starts: dict[tuple[Value, ...], int],
    ) -> bool:
        """Lays the weights down if they are parameters, each once, that lie nowhere yet."""
        distinct = set(weights)
        free = distinct <= parameters.keys() and self.slot.keys().isdisjoint(distinct)
        if not free or len(distinct) != len(weights):
            return False
        starts[weights] = len(self.order)
        self.add(weights, parameters)
        return True

    def add(self, values: tuple[Value, ...], parameters: dict[Value, int]) -> None:
        self.slot.update(zip(values, count(len(self.order)), strict=False))
        self.order += map(parameters.__getitem__, values)


def coefficients(matrix: Sequence[Node]) -> tuple[Value, ...]:
    """The weights of a matrix, row by row, each bias after its row."""
    flat: list[Value] = []
    for row in matrix:
        flat += row.weights
        if row.bias is not None:
            flat.append(row.bias)
    return tuple(flat)
