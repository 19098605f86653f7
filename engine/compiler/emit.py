"""The instructions of a program, from nodes that have their rows and slots.

Neighbouring nodes of a batch become one instruction. Where an instruction needs rows side by
side that are not, they are copied to where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.compiler.instructions import Flag, Instruction, runs
from engine.compiler.nodes import Node
from engine.compiler.operations import LINEAR, LOAD, LOG_SUM_EXP, MATRIX, STORE, Op
from engine.compiler.rows import Stage
from engine.compiler.slots import Slots


class Writer:
    """Writes the instructions of stages; constants are collected over all of them."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.constants: list[float] = []
        self.places: dict[tuple[float, ...], int] = {}

    def write(self, stage: Stage) -> list[Instruction]:
        """The stage's instructions."""
        self.stage = stage
        self.code: list[Instruction] = []
        self.copies: dict[tuple[Node, ...], int] = {}
        for batch in stage.batches:
            op = batch[0].op
            if op is MATRIX:
                self.write_matrix(batch)
            elif op is LOG_SUM_EXP:
                for node in batch:
                    self.write_log_sum_exp(node)
            elif op is LOAD or op is STORE:
                self.write_moves(batch)
            else:
                self.write_elementwise(batch)
        return self.code

    def emit(
        self,
        op: Op,
        out: int,
        a: int = 0,
        b: int = 0,
        *,
        count: int = 1,
        width: int = 0,
        slot: int = 0,
        flags: int = 0,
    ) -> None:
        self.code.append([op, out, a, b, count, width, slot, flags])

    def write_matrix(self, batch: Sequence[Node]) -> None:
        first = batch[0]
        flags = Flag.TRAINED if first.trained else 0
        flags |= Flag.BIAS if first.bias is not None else 0
        flags |= Flag.RELU if first.relu else 0
        flags |= Flag.GRADIENT_A if any(o.trained for o in first.operands) else 0
        self.emit(
            MATRIX,
            first.row,
            self.side_by_side(first.operands),
            count=len(batch),
            width=len(first.operands),
            slot=self.slots.start[first],
            flags=flags,
        )

    def write_log_sum_exp(self, node: Node) -> None:
        flags = Flag.GRADIENT_A if any(o.trained for o in node.operands) else 0
        self.emit(
            LOG_SUM_EXP,
            node.row,
            self.side_by_side(node.operands),
            width=len(node.operands),
            flags=flags,
        )

    def write_moves(self, batch: Sequence[Node]) -> None:
        """LOADs into rows and STOREs from rows, neighbours together."""
        op = batch[0].op
        assert op is not None
        moves = []
        for node in batch:
            assert node.source is not None
            row = (node if op is LOAD else node.operands[0]).base().row
            moves.append((row, self.slots.slot[node.source]))
        for run in runs(sorted(moves)):
            row, slot = run[0]
            out, a = (row, 0) if op is LOAD else (0, row)
            self.emit(op, out, a, count=len(run), slot=slot, flags=Flag.GRADIENT_A)

    def write_elementwise(self, batch: Sequence[Node]) -> None:
        """One instruction for each run of neighbours, or one for every two terms of a LINEAR."""
        op, numbers = batch[0].op, batch[0].numbers
        assert op is not None
        rows = sorted(
            (node.base().row, *(operand.base().row for operand in node.operands)) for node in batch
        )
        needs = [operand.trained for operand in batch[0].operands]
        if op is not LINEAR:
            slot = self.constant(numbers)
            for run in runs(rows):
                self.emit(op, *run[0], count=len(run), slot=slot, flags=gradients(needs))
            return
        constant, *coefficients = numbers
        for run in runs(rows):
            out, *operands = run[0]
            for i in range(0, len(operands), 2):
                first, *second = coefficients[i : i + 2]
                flags = gradients(needs[i : i + 2])
                if i:
                    flags |= Flag.ACCUMULATE
                elif operands[0] == out and first == 1.0:
                    # In place: what comes for the sum is already there for the first term.
                    flags &= ~Flag.GRADIENT_A
                if second:
                    flags |= Flag.SECOND
                slot = self.constant((0.0 if i else constant, first, *(second or [0.0])))
                self.emit(op, out, *operands[i : i + 2], count=len(run), slot=slot, flags=flags)

    def constant(self, numbers: tuple[float, ...]) -> int:
        """The place of these numbers in the table of constants."""
        if numbers not in self.places:
            self.places[numbers] = len(self.constants)
            self.constants += numbers
        return self.places[numbers]

    def side_by_side(self, nodes: tuple[Node, ...]) -> int:
        """The first of neighbouring rows that hold the nodes, copied there if need be."""
        rows = [node.base().row for node in nodes]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return rows[0]
        if nodes not in self.copies:
            start = self.copies[nodes] = self.stage.new_rows(len(nodes))
            slot = self.constant((0.0, 1.0, 0.0))
            for trained in (False, True):
                pairs = [
                    (start + i, row) for i, row in enumerate(rows) if nodes[i].trained is trained
                ]
                for run in runs(pairs):
                    self.emit(
                        LINEAR, *run[0], count=len(run), slot=slot, flags=gradients([trained])
                    )
        return self.copies[nodes]


def gradients(needs: Sequence[bool]) -> int:
    flags = Flag.GRADIENT_A if needs[0] else 0
    return flags | Flag.GRADIENT_B if len(needs) > 1 and needs[1] else flags
