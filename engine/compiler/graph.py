"""The first pass: the order of evaluation, what each value depends on, which are used again."""

from __future__ import annotations

from collections.abc import Sequence

from engine.autograd.graphs import OwnRule
from engine.autograd.value import Value

# What a value depends on: nothing, parameters (bit 0), inputs (bit 1), or both.
CONSTANT, PARAMETERS, EXAMPLES = 0, 1, 2


class NotRecordable(ValueError):
    """The graph has an operation that no kernel knows, or one with a derivative of its own."""


def classify(roots: Sequence[Value], parameters: Sequence[Value], inputs: Sequence[Value]) -> Graph:
    """Reads what the roots need; raises NotRecordable where a rule was replaced."""
    graph = Graph(parameters, inputs)
    for root in roots:
        graph.read(root)
    graph.check_rules()
    return graph


class Graph:
    """A graph of Values, and what is known of each.

    Attributes:
        kinds: what each value depends on.
        order: every value that is computed, operands first.
        shared: values that are used more than once.
    """

    def __init__(self, parameters: Sequence[Value], inputs: Sequence[Value]) -> None:
        self.parameters = {p: i for i, p in enumerate(parameters)}
        self.inputs = inputs
        self.kinds = dict.fromkeys(parameters, PARAMETERS) | dict.fromkeys(inputs, EXAMPLES)
        if len(self.kinds) != len(parameters) + len(inputs):
            raise ValueError("a value is given twice among the parameters and inputs")
        self.order: list[Value] = []
        self.used: set[Value] = set()
        self.shared: set[Value] = set()

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
        # The caller uses the root too.
        (shared if root in used else used).add(root)

    def check_rules(self) -> None:
        """Raises NotRecordable where a rule was replaced: kernels know only their own."""
        for value in self.order if Value._replaced else ():
            if isinstance(value._rule, OwnRule) and self.kinds[value] & PARAMETERS:
                raise NotRecordable(
                    f"the operation {value._op!r} has a _backward of its own and no kernel"
                )
