"""The slots of parameters and of the values of the prologue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from engine.autograd.value import Value
from engine.compiler.nodes import Node
from engine.compiler.operations import MATRIX
from engine.compiler.rows import Stage


class Slots:
    """The slot of each parameter and of each value of the prologue.

    A matrix reads its weights from neighbouring slots, row by row, each bias after its row.
    Where all of them are parameters without a slot so far, they get these slots; a matrix of
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
