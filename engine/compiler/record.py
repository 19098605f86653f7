"""From one call of a model and its loss on Values to a program for every example.

    program = record(loss, parameters, inputs, outputs)

The graph under `loss` was built by calling the model on one example. It is the same for every
example, so a value is known by what it depends on: a constant on nothing, a parameter or what
is computed from parameters alone (once a step), and the rest, which differs from example to
example. Recording reads the graph three times:

1. From the leaves to the loss: the order of evaluation, what each value depends on, and which
   values are used more than once.
2. From the loss to the leaves: sums are walked along their `+` signs, and the terms parameter ×
   value of each become one dot product, with a parameter on its own as its bias. Terms with a
   constant coefficient, or with none, become one linear combination. What is left are elementwise
   operations. Values that only such a sum looked at are never computed on their own.
3. Dot products of the same inputs become a matrix (`engine.compiler.rows`), which also gives every
   value its row and every parameter its slot.

Results may differ from those of the graph in the last digits, for two reasons: a product that is
added to something is not rounded before (a fused multiply-add), and a sum without constants is
added up in another order, its dot product first. A sum to which a constant is added keeps the
graph's order, so `(x + 1e16) + 1` and `(a + b + 1e16) - 1e16` give the graph's numbers.

It knows graphs, not networks: an MLP becomes one matrix a layer because that is what is there.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from engine.autograd import derivatives
from engine.autograd.value import Value
from engine.compiler.emit import lay_out
from engine.compiler.program import LINEAR, MATRIX, Op, Program
from engine.compiler.rows import Fused, Node

# What a value depends on: nothing, parameters (bit 0), inputs (bit 1), or both.
CONSTANT, PARAMETERS, EXAMPLES = 0, 1, 2

ELEMENTWISE = {
    "*": Op.MULTIPLY,
    "/": Op.DIVIDE,
    "**": Op.POWER,
    "max": Op.MAXIMUM,
    "leaky_relu": Op.LEAKY_RELU,
    "logsumexp": Op.LOG_SUM_EXP,
    "exp": Op.EXP,
    "log": Op.LOG,
    "sqrt": Op.SQRT,
    "sin": Op.SIN,
    "cos": Op.COS,
    "tanh": Op.TANH,
    "sigmoid": Op.SIGMOID,
    "softplus": Op.SOFTPLUS,
    "ReLU": Op.RELU,
    "gelu": Op.GELU,
    "abs": Op.ABS,
}


RULES = frozenset(rule for rule in vars(derivatives).values() if callable(rule))


class NotRecordable(ValueError):
    """The graph has an operation that no kernel knows, or one with a derivative of its own."""


def record(
    loss: Value,
    parameters: Sequence[Value],
    inputs: Sequence[Value],
    outputs: Sequence[Value] = (),
) -> Program:
    """The program that computes `loss` for any example.

    Args:
        loss: the loss of one example, built from the other three and constants.
        parameters: what is trained; gradients come in this order.
        inputs: the values that differ between examples, targets too, in the order in which
            the data has them.
        outputs: values inside the graph that must stay readable after a pass.

    Raises:
        NotRecordable: an operation is not known, or its `_backward` was replaced.
    """
    with collector_paused():
        graph = Graph(parameters, inputs)
        for root in (*outputs, loss):
            graph.read(root)
        return lay_out(graph.fuse(loss, outputs))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Recording makes many objects and no cycles: looking for some would take a third of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Graph:
    """A graph of Values, read from the leaves and fused from the root."""

    def __init__(self, parameters: Sequence[Value], inputs: Sequence[Value]) -> None:
        self.parameters = {p: i for i, p in enumerate(parameters)}
        self.inputs = inputs
        self.kinds = dict.fromkeys(parameters, PARAMETERS) | dict.fromkeys(inputs, EXAMPLES)
        if len(self.kinds) != len(parameters) + len(inputs):
            raise ValueError("a value is given twice among the parameters and inputs")
        self.order: list[Value] = []
        self.used: set[Value] = set()
        self.shared: set[Value] = set()
        self.wanted: set[Value] = set()
        self.plans: list[Plan] = []
        self.offset: dict[Value, bool] = {}

    def read(self, root: Value) -> None:
        """Appends what `root` needs to `order`, operands first, and notes kinds and uses."""
        kinds, order, used, shared = self.kinds, self.order, self.used, self.shared
        stack = [root]
        while stack:
            value = stack[-1]
            if value in kinds:
                stack.pop()
                continue
            kind = CONSTANT
            for operand in value._prev:
                known = kinds.get(operand)
                if known is None:
                    if operand._prev:
                        stack.append(operand)
                        break
                    known = kinds[operand] = CONSTANT
                kind |= known
            else:
                stack.pop()
                kinds[value] = kind
                order.append(value)
                for operand in value._prev:
                    if operand._prev:
                        if operand in used:
                            shared.add(operand)
                        else:
                            used.add(operand)
        # Whoever asked for the root uses it too.
        (shared if root in used else used).add(root)

    def fuse(self, loss: Value, outputs: Sequence[Value]) -> Fused:
        """Nodes for what the loss and the outputs need, operands first."""
        self.check_rules()
        self.wanted = {loss, *outputs}
        for value in reversed(self.order):
            if value in self.wanted and self.kinds[value] != CONSTANT:
                self.plan(value)
        return Builder(self).build(loss, outputs)

    def check_rules(self) -> None:
        """Kernels have their own rules, so nobody else's can run there."""
        for value in self.order if Value._replaced else ():
            if value._rule not in RULES and self.kinds[value] & PARAMETERS:
                raise NotRecordable(
                    f"the operation {value._op!r} has a _backward of its own and no kernel"
                )

    def plan(self, value: Value) -> None:
        """Decides how a value is computed, and from which others."""
        op, operands = value._op, value._prev
        if op == "+" or (op == "*" and self.is_term(*operands)):
            self.plan_sum(value)
        elif value._rule is derivatives.pow_constant:
            self.plan_power(value)
        elif op in ELEMENTWISE:
            numbers = (value._arg,) if op == "leaky_relu" else ()
            self.add(Plan(value, ELEMENTWISE[op], operands, numbers))
        else:
            raise NotRecordable(f"the operation {op!r} cannot run natively")

    def add(self, plan: Plan) -> None:
        self.plans.append(plan)
        self.wanted.update(plan.operands)
        self.wanted.update([weight for weight in plan.weights if weight._prev])
        if plan.bias is not None:
            self.wanted.add(plan.bias)

    def is_term(self, a: Value, b: Value) -> bool:
        """Whether a·b is linear with a coefficient that no example changes."""
        left, right = self.kinds[a], self.kinds[b]
        return CONSTANT in (left, right) or (left < EXAMPLES) != (right < EXAMPLES)

    def plan_power(self, value: Value) -> None:
        (base,), exponent = value._prev, value._arg
        if exponent == 2.0:
            self.add(Plan(value, Op.MULTIPLY, (base, base)))
        elif exponent == 0.5:
            self.add(Plan(value, Op.SQRT, (base,)))
        else:
            self.add(Plan(value, Op.CONSTANT_POWER, (base,), (exponent,)))

    def plan_sum(self, value: Value) -> None:
        """A sum of terms over all its `+` signs, or what a constant adds to or multiplies."""
        if value._op == "+":
            a, b = value._prev
            for number, term in ((a, b), (b, a)):
                if self.kinds[number] == CONSTANT and number.data != 0.0:
                    coefficient, operand = self.scaled(term)
                    self.add(Plan(value, LINEAR, (operand,), (number.data, coefficient)))
                    return
            if self.offset.get(value):
                self.plan_in_order(value)
                return
        self.plan_terms(value)

    def plan_terms(self, value: Value) -> None:
        """Collects the terms of a sum, from left to right, dot products apart from the rest."""
        kinds, shared = self.kinds, self.shared
        per_example = kinds[value] >= EXAMPLES
        weights: list[Value] = []
        operands: list[Value] = []
        bias: Value | None = None
        linear: list[tuple[float, Value]] = []
        stack = [value]
        while stack:
            term = stack.pop()
            kind = kinds[term]
            if kind == CONSTANT:
                continue  # a 0, as `adds_constant` and `plan_sum` keep the others away
            if per_example and kind < EXAMPLES:
                if bias is None:
                    bias = term
                else:
                    linear.append((1.0, term))
                continue
            if term is value or term not in shared:
                op = term._op
                if op == "+":
                    a, b = term._prev
                    if CONSTANT not in (kinds[a], kinds[b]) or not self.adds_constant(term):
                        stack.append(b)
                        stack.append(a)
                        continue
                elif op == "*":
                    a, b = term._prev
                    if kinds[b] < kinds[a] and kinds[b] < EXAMPLES:
                        a, b = b, a
                    first = kinds[a]
                    if first == CONSTANT:
                        linear.append((a.data, b))
                        continue
                    if per_example and first < EXAMPLES <= kinds[b]:
                        weights.append(a)
                        operands.append(b)
                        continue
            linear.append((1.0, term))
        others = [term for _, term in linear] if bias is None else [bias, *(t for _, t in linear)]
        if len(weights) + len(others) > 2 and any(self.has_offset(term) for term in others):
            self.has_offset(value)
            self.plan_in_order(value)
        else:
            self.add_sum(value, linear, weights, tuple(operands), bias)

    def plan_in_order(self, value: Value) -> None:
        """A sum whose terms are added one by one as the graph adds them.

        Next to a large constant another order would round to other numbers.
        """
        terms: list[Value] = []
        node = value
        while node._op == "+" and (node is value or node not in self.shared):
            if node is not value and self.adds_constant(node):
                break
            node, right = node._prev
            terms.append(right)
        terms.append(node)
        linear = [self.scaled(t) for t in reversed(terms) if self.kinds[t] != CONSTANT]
        self.add_sum(value, linear, [], (), None)

    def scaled(self, term: Value) -> tuple[float, Value]:
        """A term as a constant coefficient and what it multiplies."""
        if term._op == "*" and term not in self.shared:
            for number, operand in (term._prev, term._prev[::-1]):
                if self.kinds[number] == CONSTANT != self.kinds[operand]:
                    return number.data, operand
        return 1.0, term

    def adds_constant(self, term: Value) -> bool:
        """Whether one side of a `+` is a constant other than 0."""
        return any(self.kinds[x] == CONSTANT and x.data != 0.0 for x in term._prev)

    def has_offset(self, term: Value) -> bool:
        """Whether a constant is added somewhere under the `+` signs and coefficients of a term."""
        found = self.offset
        stack = [term]
        while stack:
            value = stack[-1]
            linear = value._op == "+" or (value._op == "*" and self.is_scaled(value))
            if value in found or not linear or self.kinds[value] == CONSTANT:
                found.setdefault(value, False)
                stack.pop()
                continue
            waiting = [operand for operand in value._prev if operand not in found]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            found[value] = any(found[operand] for operand in value._prev) or (
                value._op == "+" and self.adds_constant(value)
            )
        return found[term]

    def is_scaled(self, product: Value) -> bool:
        return CONSTANT in [self.kinds[operand] for operand in product._prev]

    def add_sum(
        self,
        value: Value,
        linear: list[tuple[float, Value]],
        weights: list[Value],
        operands: tuple[Value, ...],
        bias: Value | None,
    ) -> None:
        """A dot product, a linear combination, or a linear combination that holds one."""
        if weights and not linear:
            self.add(Plan(value, MATRIX, operands, (), weights, bias))
            return
        if weights:
            product = Value(0.0)
            self.kinds[product] = self.kinds[value] | PARAMETERS
            linear.insert(0, (1.0, product))
        elif bias is not None:
            linear.append((1.0, bias))
        coefficients, terms = zip(*linear, strict=True)
        self.add(Plan(value, LINEAR, terms, (0.0, *coefficients)))
        if weights:
            self.add(Plan(product, MATRIX, operands, (), weights, bias))


class Plan(NamedTuple):
    """How one value is computed; the fields are those of a Node, with values for nodes."""

    value: Value
    op: Op
    operands: tuple[Value, ...]
    numbers: tuple[float, ...] = ()
    weights: Sequence[Value] = ()
    bias: Value | None = None


class Builder:
    """Makes nodes of plans, in two stages: the prologue, and what differs by example."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.leaves = [Node(None) for _ in graph.inputs]
        self.prologue: list[Node] = []
        self.body: list[Node] = []
        self.prologue_nodes: dict[Value, Node] = {}
        self.body_nodes = dict(zip(graph.inputs, self.leaves, strict=True))
        self.constants: dict[tuple[bool, str], Node] = {}
        self.stored: dict[Value, Node] = {}
        self.lists: dict[tuple[Value, ...], tuple[Node, ...]] = {}

    def build(self, loss: Value, outputs: Sequence[Value]) -> Fused:
        for plan in reversed(self.graph.plans):
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
        """The node of a value in a stage; constants and parameters get one when first asked."""
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
        """Sees to it that a value of the prologue gets a slot, where the body can read it."""
        if value not in self.graph.parameters and value not in self.stored:
            operand = self.node(value, False)
            self.stored[value] = Node(Op.STORE, (operand,), trained=True, source=value)
