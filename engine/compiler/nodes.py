"""The fused graph: nodes in two stages, the prologue and what differs by example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.autograd.value import Value
from engine.compiler.fuse import Plan
from engine.compiler.graph import CONSTANT, EXAMPLES, PARAMETERS, Graph
from engine.compiler.operations import MATRIX, Op


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


class Builder:
    """Makes nodes of plans, in two stages: the prologue, and what differs by example."""

    def __init__(self, graph: Graph, plans: Sequence[Plan]) -> None:
        self.graph = graph
        self.plans = plans
        self.leaves = [Node(None) for _ in graph.inputs]
        self.prologue: list[Node] = []
        self.body: list[Node] = []
        self.prologue_nodes: dict[Value, Node] = {}
        self.body_nodes = dict(zip(graph.inputs, self.leaves, strict=True))
        self.constants: dict[tuple[bool, str], Node] = {}
        self.stored: dict[Value, Node] = {}
        self.lists: dict[tuple[Value, ...], tuple[Node, ...]] = {}

    def build(self, loss: Value, outputs: Sequence[Value]) -> Fused:
        for plan in reversed(self.plans):
            self.make(plan)
        return Fused(
            parameters=self.graph.parameters,
            inputs=self.leaves,
            body=self.body,
            outputs=[self.node(value, True) for value in outputs],
            loss=self.node(loss, True),
            prologue=[*self.prologue, *self.stored.values()],
            stored=list(self.stored),
        )

    def make(self, plan: Plan) -> None:
        kind = self.graph.kinds[plan.value]
        per_example = kind >= EXAMPLES
        if plan.op is MATRIX:
            # Dot products of the same values share one tuple: that makes them a matrix.
            operands = self.lists.get(plan.operands)
            if operands is None:
                operands = tuple([self.node(value, True) for value in plan.operands])
                self.lists[plan.operands] = operands
            for weight in plan.weights:
                if weight._prev:
                    self.store(weight)
            if plan.bias is not None:
                self.store(plan.bias)
        else:
            operands = tuple([self.node(value, per_example) for value in plan.operands])
        node = Node(
            plan.op, operands, plan.numbers, bool(kind & PARAMETERS), plan.weights, plan.bias
        )
        (self.body if per_example else self.prologue).append(node)
        (self.body_nodes if per_example else self.prologue_nodes)[plan.value] = node

    def node(self, value: Value, per_example: bool) -> Node:
        """The node of a value in a stage; values without a plan get one when first needed."""
        nodes = self.body_nodes if per_example else self.prologue_nodes
        found = nodes.get(value)
        if found is not None:
            return found
        if self.graph.kinds[value] == CONSTANT:
            key = (per_example, value.data.hex())
            found = self.constants.setdefault(key, Node(None, numbers=(value.data,)))
        else:
            found = Node(Op.LOAD, trained=True, source=value)
            (self.body if per_example else self.prologue).append(found)
            if per_example:
                self.store(value)
        nodes[value] = found
        return found

    def store(self, value: Value) -> None:
        """Gives a value of the prologue a slot, from which the body can read it."""
        if value not in self.graph.parameters and value not in self.stored:
            operand = self.node(value, False)
            self.stored[value] = Node(Op.STORE, (operand,), trained=True, source=value)
