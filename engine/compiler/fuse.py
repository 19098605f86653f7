"""How each value is computed: sums become dot products or linear combinations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.autograd.value import Value
from engine.compiler.graph import CONSTANT, EXAMPLES, PARAMETERS, Graph, NotRecordable
from engine.compiler.operations import BY_SYMBOL, LINEAR, MATRIX, Op

# Operations that hand a large number on as it is.
STRAIGHT = frozenset(op.symbol for op in (Op.RELU, Op.LEAKY_RELU, Op.ABS, Op.MAXIMUM))


class Plan(NamedTuple):
    """How one value is computed; the fields are those of a Node, with values for nodes."""

    value: Value
    op: Op
    operands: tuple[Value, ...]
    numbers: tuple[float, ...] = ()
    weights: Sequence[Value] = ()
    bias: Value | None = None


def fuse(graph: Graph, roots: Sequence[Value]) -> list[Plan]:
    """Plans for what the roots need, results first."""
    fuser = Fuser(graph, roots)
    for value in reversed(graph.order):
        if value in fuser.wanted and graph.kinds[value] != CONSTANT:
            fuser.plan(value)
    return fuser.plans


class Fuser:
    """Decides from the loss to the leaves how each value is computed.

    Attributes:
        wanted: values that must be computed on their own, as another value reads them.
        offset: whether a constant is added under the `+` signs of a value, where known.
    """

    def __init__(self, graph: Graph, roots: Sequence[Value]) -> None:
        self.kinds, self.shared = graph.kinds, graph.shared
        self.wanted = set(roots)
        self.plans: list[Plan] = []
        self.offset: dict[Value, bool] = {}

    def plan(self, value: Value) -> None:
        """Decides how a value is computed, and from which others."""
        op, operands = value._op, value._prev
        if op == "+" or (op == "*" and self.is_term(*operands)):
            self.plan_sum(value)
        elif op.startswith("**") and len(operands) == 1:
            self.plan_power(value)
        elif op in BY_SYMBOL:
            found = BY_SYMBOL[op]
            self.add(Plan(value, found, operands, (value._arg,) if found.constant else ()))
        else:
            raise NotRecordable(
                f"the operation {op!r} cannot run natively: engine/compiler/operations.py has no "
                "line for it, and engine/native/kernels/rules.py no function and no rule"
            )

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
            if CONSTANT in (self.kinds[a], self.kinds[b]) and self.adds_constant(value):
                number, term = (a, b) if self.kinds[a] == CONSTANT else (b, a)
                coefficient, operand = self.scaled(term)
                self.add(Plan(value, LINEAR, (operand,), (number.data, coefficient)))
                return
            if self.offset and self.offset.get(value):
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
                if term.data != 0.0:
                    self.has_offset(value)
                    self.plan_in_order(value)
                    return
                continue
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
                    stack.append(b)
                    stack.append(a)
                    continue
                if op == "*":
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
        if (linear or (bias is not None and bias._prev)) and self.needs_order(
            linear, weights, bias
        ):
            self.has_offset(value)
            self.plan_in_order(value)
        else:
            self.add_sum(value, linear, weights, tuple(operands), bias)

    def needs_order(
        self, linear: list[tuple[float, Value]], weights: list[Value], bias: Value | None
    ) -> bool:
        """Whether a constant is added in one of three terms or more."""
        terms = [term for _, term in linear]
        if bias is not None and bias._prev:
            terms.append(bias)
        count = len(linear) + len(weights) + (bias is not None)
        return count > 2 and any(self.has_offset(term) for term in terms)

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
        """Whether a constant is added somewhere in a term, and keeps its size on the way to it."""
        found = self.offset
        stack = [term]
        while stack:
            value = stack[-1]
            linear = value._op == "+" or (value._op == "*" and self.is_scaled(value))
            if (
                value in found
                or not (linear or value._op in STRAIGHT)
                or self.kinds[value] == CONSTANT
            ):
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
