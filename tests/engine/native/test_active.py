"""Examples without a gradient are left out of the backward pass, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Value
from engine.native.function import NativeFunction
from tests.engine.native_graphs import Expression, native_function, run_both

UNITS = 9
PARAMETERS = np.random.default_rng(7).uniform(-1.0, 1.0, 3 * UNITS + UNITS + 1).tolist()


def hidden(p: Sequence[Value], x: Sequence[Value]) -> list[Value]:
    units = [p[3 * i : 3 * i + 3] for i in range(UNITS)]
    return [(v * x[0] + w * x[1] + bias).relu() for v, w, bias in units]


def score(p: Sequence[Value], neurons: Sequence[Value]) -> Value:
    total = p[-1]
    for weight, neuron in zip(p[3 * UNITS :], neurons, strict=False):
        total = total + weight * neuron
    return total


def margin(p: Sequence[Value], x: Sequence[Value]) -> Value:
    """An expression in which a label of 0 makes the gradient 0."""
    return (1 - x[2] * score(p, hidden(p, x))).relu()


def smooth_margin(p: Sequence[Value], x: Sequence[Value]) -> Value:
    """Rows of every kind: a product and two functions that are not part of a matrix."""
    neurons = [(neuron.tanh() * x[0] + 0.5).sigmoid() for neuron in hidden(p, x)]
    return Value.maximum(1 - x[2] * score(p, neurons), Value(0.0))


def margin_and_neuron(p: Sequence[Value], x: Sequence[Value]) -> Value:
    neurons = hidden(p, x)
    return (1 - x[2] * score(p, neurons)).relu() + 0.1 * neurons[0]


def two_margins(p: Sequence[Value], x: Sequence[Value]) -> Value:
    neurons = hidden(p, x)
    other = p[0]
    for weight, neuron in zip(p, neurons, strict=False):
        other = other + weight * neuron
    return (1 - x[2] * score(p, neurons)).relu() + (1 + x[2] * other).relu()


def margin_and_score(p: Sequence[Value], x: Sequence[Value]) -> Value:
    """The sum lies over the other score, whose gradient is there without being written."""
    neurons = hidden(p, x)
    return score(p[1:], neurons[1:]) + (1 - x[2] * score(p, neurons)).relu()


def margin_and_parameter(p: Sequence[Value], x: Sequence[Value]) -> Value:
    return (1 - x[2] * score(p, hidden(p, x))).relu() + p[-1]


def margin_of_one_term(p: Sequence[Value], x: Sequence[Value]) -> Value:
    return (p[0] * x[0] - 3.0 * x[2]).relu() + p[1]


def squared_error(p: Sequence[Value], x: Sequence[Value]) -> Value:
    return (score(p, hidden(p, x)) - x[2]) ** 2


def rows_with(labels: Sequence[float]) -> list[list[float]]:
    inputs = np.random.default_rng(len(labels)).uniform(-1.5, 1.5, (len(labels), 2))
    return [[*row, label] for row, label in zip(inputs.tolist(), labels, strict=True)]


def moved_together(function: NativeFunction) -> bool:
    """Whether some pass over the examples has left out those without a gradient."""
    return len(function.workspace.values) == 3 and bool(function.workspace.values[2].any())


@pytest.mark.parametrize(
    "expression",
    [
        margin,
        smooth_margin,
        margin_and_neuron,
        margin_and_score,
        margin_and_parameter,
        margin_of_one_term,
        two_margins,
    ],
)
@settings(max_examples=40, deadline=None)
@given(labels=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, -1.0]), min_size=1, max_size=70))
def test_the_gradient_is_that_of_the_scalar_engine(
    expression: Expression, labels: list[float]
) -> None:
    assert run_both(expression, PARAMETERS, rows_with(labels)).agree()


TERMS: dict[str, Expression] = {
    "margin": margin,
    "score": lambda p, x: score(p[1:], hidden(p, x)),
    "label": lambda p, x: (x[2] * p[2] - 0.5).relu(),
    "neuron": lambda p, x: hidden(p, x)[0],
    "parameter": lambda p, x: p[-1],
    "product": lambda p, x: Value.maximum(p[0] * x[0], 0.2) * p[1],
}


@settings(max_examples=150, deadline=None)
@given(
    terms=st.lists(
        st.tuples(st.sampled_from(sorted(TERMS)), st.sampled_from([1.0, 1.0, -0.5])),
        min_size=1,
        max_size=4,
    ),
    labels=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, -1.0]), min_size=1, max_size=40),
)
def test_sums_of_what_hands_on_a_gradient_and_what_does_not(
    terms: list[tuple[str, float]], labels: list[float]
) -> None:
    def loss(p: Sequence[Value], x: Sequence[Value]) -> Value:
        total = TERMS[terms[0][0]](p, x)
        for name, factor in terms[1:]:
            total = total + (TERMS[name](p, x) if factor == 1.0 else factor * TERMS[name](p, x))
        return total

    both = run_both(loss, PARAMETERS, rows_with(labels))
    # Terms may cancel within an example, so only their size is known.
    np.testing.assert_allclose(both.native_losses, both.losses, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(both.native_gradient, both.gradient, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("taking_part", [1, 7, 8, 9, 16, 24, 25, 50])
def test_examples_that_take_part_are_moved_together(taking_part: int) -> None:
    labels = np.zeros(50)
    labels[np.random.default_rng(taking_part).permutation(50)[:taking_part]] = 1e-9
    rows = rows_with(labels.tolist())
    function = native_function(margin, PARAMETERS, rows)
    gradient = function.gradient(PARAMETERS)
    assert moved_together(function) == (taking_part <= 24)
    alone = native_function(margin, PARAMETERS, [row for row in rows if row[2]])
    np.testing.assert_allclose(gradient, alone.gradient(PARAMETERS), rtol=1e-12, atol=1e-24)


def test_without_a_gradient_no_parameter_moves() -> None:
    function = native_function(margin, PARAMETERS, rows_with([0.0] * 20))
    parameters, losses = function.descend(PARAMETERS, [0.5] * 3)
    assert parameters.tolist() == PARAMETERS
    assert losses.tolist() == [20.0] * 3


def test_the_next_step_sees_the_examples_where_they_were() -> None:
    rows = rows_with([0.0, 1.0] * 3 + [0.0] * 40)
    at_once = native_function(margin, PARAMETERS, rows).descend(PARAMETERS, [1e-3] * 5)[0]
    one_by_one = np.array(PARAMETERS)
    for _ in range(5):
        function = native_function(margin, PARAMETERS, rows)
        one_by_one = function.descend(one_by_one, [1e-3])[0]
        assert moved_together(function)
    assert at_once.tolist() == one_by_one.tolist()


@pytest.mark.parametrize(
    ("expression", "has_waist"),
    [
        (margin, True),
        (smooth_margin, True),
        (squared_error, False),
        (margin_and_neuron, False),
        (margin_and_score, False),
        (margin_and_parameter, False),
        (two_margins, False),
    ],
)
def test_where_all_gradient_passes_one_row(expression: Expression, has_waist: bool) -> None:
    """A program has no waist for a squared error, which is hardly ever 0, or with two ways on."""
    program = native_function(expression, PARAMETERS, rows_with([1.0])).program
    assert (program.waist is not None) == has_waist
