"""Fused nodes in batches, with a row for every value.

Nodes arrive in order of evaluation. A level is
one more than the highest level among the operands; nodes of a level do not depend on each
other, so those that do the same are done together: dot products of the same inputs are one
matrix, elementwise operations on neighbouring rows one instruction. Rows are given out so that
there are neighbours: first the inputs, then the outputs of each matrix in one block, then the
operands of matrices that lie nowhere yet. `engine.compiler.emit` writes the instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

from engine.compiler.nodes import Node
from engine.compiler.operations import (
    IN_PLACE,
    LEAKY_RELU,
    LINEAR,
    LOG_SUM_EXP,
    MATRIX,
    READ_RESULT,
    RELU,
    STORE,
)


class Stage:
    """The nodes of one stage in batches that can each be done at once, and their rows."""

    def __init__(
        self, nodes: Sequence[Node], inputs: Sequence[Node], pinned: Sequence[Node]
    ) -> None:
        self.nodes, self.inputs, self.pinned = nodes, inputs, pinned
        self.rows = 0
        self.fills: list[tuple[int, float]] = []
        self.batches: list[list[Node]] = []

    def share_rows(self) -> None:
        """Lays results over operands that no other node reads, and relus into their matrices."""
        count_uses(self.nodes, self.pinned)
        for node in self.nodes:
            overwrite_operand(node)
        fuse_relus(self.nodes)

    def form_batches(self) -> None:
        self.batches = batches(self.nodes)

    def place_rows(self) -> None:
        """Gives every value its row, so that many instructions find theirs side by side."""
        self.place(self.inputs)
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
        self.place(self.pinned)

    def place(self, nodes: Iterable[Node]) -> None:
        """Gives a row to each node that has none."""
        for node in nodes:
            base = node.base()
            if base.row < 0 and base.op is not STORE:
                base.row = self.new_rows(1)
                if base.op is None and base.numbers:
                    self.fills.append((base.row, base.numbers[0]))

    def place_together(self, nodes: Sequence[Node]) -> None:
        """Gives the nodes rows side by side, unless one of them has a row already."""
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
    """Lays a node over its operand if no other node reads that and the rule does not need it."""
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
    elif node.op in IN_PLACE and is_free(node.operands[0]) and keeps_sign(node):
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
