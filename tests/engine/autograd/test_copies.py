"""Copies and pickles of graphs of any depth; shared nodes stay shared."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from engine import Value

WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda x, protocol=protocol: pickle.loads(pickle.dumps(x, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@ways
def test_a_graph_far_deeper_than_the_stack(way: Callable[[Any], Any]) -> None:
    x = Value(1.0)
    y = x
    for _ in range(20_000):
        y = y + x
    again = way(y)
    again.backward()
    assert again.data == 20_001.0
    assert again._prev[1].grad == 20_001.0
    assert x.grad == 0.0


@ways
def test_nodes_that_are_shared_stay_shared(way: Callable[[Any], Any]) -> None:
    x = Value(2.0)
    inner = x * 3
    outer = inner.tanh() * inner
    for order in ([x, inner, outer], [outer, inner, x]):
        found = dict(zip(("x", "inner", "outer"), way(order), strict=True))
        if order[0] is outer:
            found = {"x": found["outer"], "inner": found["inner"], "outer": found["x"]}
        tanh, right = found["outer"]._prev
        assert tanh._prev[0] is right is found["inner"]
        assert found["inner"]._prev[0] is found["x"]
        assert found["x"] is not x


@ways
def test_a_copy_has_numbers_labels_and_rules_of_its_own(way: Callable[[Any], Any]) -> None:
    x = Value(-2.0, label="x")
    y = x.leaky_relu(0.25) ** 3 + x.exp()
    y.label = "y"
    y.backward()
    again = way(y)
    power, exp = again._prev
    leaf = exp._prev[0]
    assert (again.data, again.grad, again.label, leaf.label) == (y.data, 1.0, "y", "x")
    assert (power._op, power._prev[0]._arg, leaf.grad) == ("**3", 0.25, x.grad)
    leaf.grad = 0.0
    again.backward()
    assert leaf.grad == x.grad


def test_a_shallow_copy_has_the_same_operands() -> None:
    x = Value(3.0)
    y = x * x
    z = copy.copy(y)
    z.data = 1.0
    assert (y.data, z._prev) == (9.0, (x, x))
    assert z._prev[0] is x
    z.backward()
    assert x.grad == 6.0


@pytest.mark.parametrize("way", [copy.copy, *WAYS.values()])
def test_an_operation_with_a_backward_of_its_own_says_why_it_cannot(
    way: Callable[[Any], Any],
) -> None:
    x = Value(2.0)
    out = Value(8.0, (x,), "cube")
    out._backward = lambda: None
    with pytest.raises(TypeError, match=r"'cube' cannot be copied or pickled: its _backward was"):
        way(out)


@pytest.mark.parametrize("way", [copy.copy, *WAYS.values()])
def test_a_class_of_ones_own_stays_one(way: Callable[[Any], Any]) -> None:
    weight = Weight(2.0)
    weight.name = ["w"]
    again = way(weight)
    assert (type(again), again.data, again.name) == (Weight, 2.0, ["w"])


class Weight(Value):
    name: list[str]
