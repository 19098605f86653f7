"""Whole graphs, drawn by Hypothesis or deliberately awkward, run by the kernels."""

from __future__ import annotations

import copy
import itertools
import math
import operator
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Value
from engine.arrays import Array
from engine.autograd.gradcheck import check_program
from engine.autograd.value import log_sum_exp
from engine.native.function import NativeFunction
from engine.networks.activations import ACTIVATIONS
from engine.networks.batch_loss import sum_values
from engine.networks.modules import Layer
from tests.engine.native_graphs import native_function, run_both

# Smooth operations whose results stay within [-2, 2] if their operands do.
OPERATIONS: list[Callable[[Value, Value], Value]] = [
    lambda a, b: (a + b) * 0.5,
    lambda a, b: 0.5 * (a - b),
    lambda a, b: a * b * 0.5,
    lambda a, b: a / (b * b + 1.0),
    lambda a, b: a.tanh(),
    lambda a, b: a.sigmoid() * b,
    lambda a, b: (a.softplus() + 0.1).log(),
    lambda a, b: 0.5 * (a.sin() + b.cos()),
    lambda a, b: a.gelu(),
    lambda a, b: (a * a + b * b + 0.5).sqrt() * 0.5,
    lambda a, b: (-(a * a)).exp(),
    lambda a, b: (a * a + 1.0) ** b.tanh() * 0.3,
    lambda a, b: a**3 * 0.25,
    lambda a, b: log_sum_exp([a, b, a]) * 0.5,
    lambda a, b: (2.5 - a) * 0.4,
    lambda a, b: 0.5 * a + 1.0,
]


@dataclass(frozen=True)
class Drawn:
    """An expression as steps over earlier values: (operation, first operand, second operand)."""

    parameters: int
    inputs: int
    constant: float
    steps: tuple[tuple[int, int, int], ...]

    def __call__(self, p: Sequence[Value], x: Sequence[Value]) -> Value:
        there = [*p, *x, Value(self.constant)]
        for operation, a, b in self.steps:
            there.append(OPERATIONS[operation](there[a % len(there)], there[b % len(there)]))
        weights = [*p, *x] * len(there)
        total = there[-1]
        for weight, value in zip(weights, there, strict=False):
            total = total + weight * value * 0.1
        return total


expressions = st.builds(
    Drawn,
    parameters=st.integers(1, 5),
    inputs=st.integers(1, 4),
    constant=st.floats(-2, 2),
    steps=st.lists(
        st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 40), st.integers(0, 40)),
        min_size=1,
        max_size=20,
    ).map(tuple),
)


def numbers(count: int, seed: int) -> list[float]:
    drawn: list[float] = np.random.default_rng(seed).uniform(-1.5, 1.5, count).tolist()
    return drawn


@settings(deadline=None, max_examples=200)
@given(expression=expressions, rows=st.integers(1, 20), seed=st.integers(0, 1000))
def test_random_expressions(expression: Drawn, rows: int, seed: int) -> None:
    """The scalar engine, the native engine and finite differences agree on any graph."""
    parameters = numbers(expression.parameters, seed)
    data = [numbers(expression.inputs, seed + 1 + row) for row in range(rows)]
    both = run_both(expression, parameters, data)
    # A gradient may be a small difference of large terms.
    scale = 1e-12 * max(1.0, float(both.scale.max()))
    assert np.allclose(both.native_losses, both.losses, rtol=1e-12, atol=1e-12)
    assert np.allclose(both.native_gradient, both.gradient, rtol=1e-12, atol=scale)
    check = check_program(native_function(expression, parameters, data), parameters)
    assert check.error < 1e-5, str(check)


def sums_with_constants() -> st.SearchStrategy[Callable[..., Value]]:
    """Sums of terms that are exact, so that only the constants are rounded."""
    large = st.sampled_from([1e16, -1e16, 2.0**53, -(2.0**60), 1e300, -1e300])
    number = st.one_of(large, st.integers(-9, 9).map(float))
    leaves = st.one_of(
        st.builds(lambda i: lambda p, x: x[i], st.integers(0, 3)),
        st.builds(lambda i: lambda p, x: p[i], st.integers(0, 3)),
        st.builds(lambda i, j: lambda p, x: p[i] * x[j], st.integers(0, 3), st.integers(0, 3)),
        st.builds(lambda a, b: lambda p, x: Value(a) + Value(b), number, number),
        st.builds(lambda c: lambda p, x: Value(c), number),
    )

    def grow(smaller: st.SearchStrategy[Callable[..., Value]]) -> st.SearchStrategy[Any]:
        return st.one_of(
            st.builds(lambda a, b: lambda p, x: a(p, x) + b(p, x), smaller, smaller),
            st.builds(lambda a, b: lambda p, x: a(p, x) - b(p, x), smaller, smaller),
            st.builds(lambda a, c: lambda p, x: a(p, x) + c, smaller, number),
            st.builds(lambda a, c: lambda p, x: c - a(p, x), smaller, number),
            st.builds(lambda a: lambda p, x: 2.0 * a(p, x), smaller),
            st.builds(lambda a: lambda p, x: a(p, x).relu(), smaller),
        )

    return st.recursive(leaves, grow, max_leaves=25)


@settings(deadline=None, max_examples=300)
@given(expression=sums_with_constants())
def test_constants_round_as_in_the_scalar_graph(expression: Callable[..., Value]) -> None:
    parameters, rows = [1.0, -2.0, 3.0, 5.0], [[1.0, 3.0, -7.0, 2.0], [-4.0, 0.0, 6.0, 1.0]]

    def loss(p: Sequence[Value], x: Sequence[Value]) -> Value:
        return expression(p, x) * 1.0

    both = run_both(loss, parameters, rows)
    assert both.native_losses.tolist() == both.losses.tolist()
    assert both.native_gradient.tolist() == both.gradient.tolist()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda p, x: p * x + 1e16 + 1, 1.0),
        (lambda p, x: (p * x + x + 1e16) - 1e16, -1e16),
        (lambda p, x: 1e16 + (p * x + x), 0.0),
        (lambda p, x: Value(2.0) * Value(5e15) + p * x + x + 1.0, 2.0),
        (lambda p, x: sum_values([p * x, Value(1e16), x, x * p, Value(1e16), x]), 1.0),
    ],
)
def test_large_constants_keep_their_place(
    expression: Callable[[Value, Value], Value], expected: float
) -> None:
    both = run_both(lambda p, x: expression(p[0], x[0]), [-1e16], [[1.0]])
    assert both.native_losses.tolist() == both.losses.tolist()
    assert both.losses.tolist() == [expected]


@pytest.mark.parametrize(
    "straight", [Value.relu, Value.abs, Value.leaky_relu, lambda a: a.maximum(0.0)]
)
def test_a_large_constant_is_found_where_it_is_handed_on(
    straight: Callable[[Value], Value],
) -> None:
    both = run_both(lambda p, x: (x[0] + p[0]) + straight(x[0] + 1e16), [1.0], [[1.0]])
    assert both.native_losses.tolist() == both.losses.tolist() == [1e16 + 2]


def network_of(p: Sequence[Value], sizes: Sequence[int], activations: Sequence[str]) -> list[Layer]:
    """Layers over given parameters, in the order of `MLP.parameters`."""
    taken = iter(p)
    layers = []
    for i, activation in enumerate(activations[: len(sizes) - 1]):
        layer = Layer(sizes[i], sizes[i + 1], activation=activation)
        for neuron in layer.neurons:
            neuron.w = [next(taken) for _ in neuron.w]
            neuron.b = next(taken)
        layers.append(layer)
    return layers


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    activations=st.lists(st.sampled_from(sorted(ACTIVATIONS)), min_size=3, max_size=3),
    rows=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_random_networks(sizes: list[int], activations: list[str], rows: int, seed: int) -> None:
    def network(p: Sequence[Value], x: Sequence[Value]) -> Value:
        out = list(x)
        for layer in network_of(p, sizes, activations):
            out = layer.outputs(out)
        return log_sum_exp([value.tanh() for value in out])

    count = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    data = [numbers(sizes[0], seed + row) for row in range(rows)]
    both = run_both(network, numbers(count, seed), data)
    assert np.allclose(both.native_losses, both.losses, rtol=1e-12, atol=1e-12)
    scale = 1e-12 * max(1.0, float(both.scale.max()))
    assert np.allclose(both.native_gradient, both.gradient, rtol=1e-12, atol=scale)


def test_a_node_used_a_hundred_times() -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        node = (p[0] * x[0]).tanh()
        total = node
        for i in range(100):
            total = total + node * (0.01 * i) + (node * p[1]).sin() * node
        return total

    assert run_both(expression, [0.7, -0.4], [[0.3], [1.2], [-2.0]]).agree()


def test_inputs_and_parameters_that_are_not_used() -> None:
    both = run_both(lambda p, x: p[1] * x[2], [1.0, 2.0, 3.0], [[1.0, 2.0, 3.0, 4.0]])
    assert both.agree()
    assert both.native_gradient.tolist() == [0.0, 3.0, 0.0]


def test_a_loss_that_looks_at_no_input() -> None:
    assert run_both(lambda p, x: (p[0] * p[1]).tanh() + p[0], [0.5, 2.0], [[1.0], [2.0]]).agree()


def test_a_loss_that_is_a_leaf() -> None:
    assert run_both(lambda p, x: p[0], [0.5], [[1.0]] * 3).agree()
    assert run_both(lambda p, x: x[0], [0.5], [[1.0], [2.0]]).agree()
    assert run_both(lambda p, x: Value(4.0), [0.5], [[1.0]]).agree()
    assert run_both(lambda p, x: Value(4.0) + 1.0, [0.5], [[1.0]]).agree()
    assert run_both(lambda p, x: x[0] * x[1] + 1.0, [0.5], [[1.0, 3.0]]).agree()


def test_weight_normalisation() -> None:
    """Weights that are themselves computed: once per step, then used as a matrix."""

    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        size = (p[0] * p[0] + p[1] * p[1] + p[2] * p[2] + p[3] * p[3]) ** 0.5
        rows = [[w / size for w in p[:2]], [w / size for w in p[2:4]]]
        hidden = [(p[4] + row[0] * x[0] + row[1] * x[1]).tanh() for row in rows]
        return hidden[0] * p[0] + hidden[1] * hidden[0] + p[4] * p[4]

    data = [numbers(2, i) for i in range(9)]
    assert run_both(expression, [0.3, -0.8, 1.1, 0.4, 0.2], data).agree()


def test_a_recurrent_network_shares_its_weights() -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        state = [p[6], p[7]]
        for xi in x:
            state = [
                (p[3 * i] * state[0] + p[3 * i + 1] * state[1] + p[3 * i + 2] * xi).tanh()
                for i in range(2)
            ]
        return state[0] * state[1] + state[0]

    assert run_both(expression, numbers(8, 1), [numbers(5, 2 + i) for i in range(10)]).agree()


def test_a_convolution_shares_its_weights() -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        hidden = [(p[0] * x[i] + p[1] * x[i + 1] + p[2] * x[i + 2] + p[3]).relu() for i in range(6)]
        pooled = [hidden[i].maximum(hidden[i + 1]) for i in range(0, 6, 2)]
        return pooled[0] * p[4] + pooled[1] * p[5] + pooled[2] * p[6] + p[3]

    data = [numbers(8, 20 + i) for i in range(12)]
    assert run_both(expression, numbers(7, 3), data).agree()


def test_residuals_and_gates() -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        h = [x[0], x[1]]
        for i in range(3):
            inner = [(p[i] * h[0] + p[i + 1] * h[1] + p[5]).relu() for _ in range(2)]
            gate = (p[4] * h[0]).sigmoid()
            h = [a + gate * b for a, b in zip(h, inner, strict=True)]
        return h[0] * h[0] - h[1] * 3.0 + h[0]

    assert run_both(expression, numbers(6, 9), [numbers(2, i) for i in range(17)]).agree()


def test_operands_that_are_not_side_by_side() -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        first = [(p[0] * v).tanh() for v in x]
        mixed = [first[3], x[0], first[1], first[3], Value(0.5) * first[0]]
        weights = [p[1], p[2], p[3], p[4], p[0]]
        dot = p[5]
        for w, v in zip(weights, mixed, strict=True):
            dot = dot + w * v
        return log_sum_exp([dot, first[2], x[1], first[0]]) + dot

    assert run_both(expression, numbers(6, 4), [numbers(4, 40 + i) for i in range(5)]).agree()


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100])
def test_batches_that_do_not_fill_a_vector(rows: int) -> None:
    def network(p: Sequence[Value], x: Sequence[Value]) -> Value:
        hidden, last = network_of(p, [2, 3, 1], ["relu", "linear"])
        return last.outputs(hidden.outputs(list(x)))[0] ** 2

    assert run_both(network, numbers(13, 0), [numbers(2, i) for i in range(rows)]).agree()


@pytest.mark.parametrize("example", [False, True], ids=["once per step", "for every example"])
@pytest.mark.parametrize(
    "operation", [operator.mul, operator.add, operator.sub, operator.truediv, Value.maximum]
)
def test_neighbours_that_share_operands(
    operation: Callable[[Value, Value], Value], example: bool
) -> None:
    """p₀·p₁ + p₁·p₂ + …: the operands of neighbouring operations overlap."""

    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        values = [(number * x[0]).tanh() for number in p] if example else p
        total = x[0]
        for pair in itertools.pairwise(values):
            total = total + operation(*pair).sin()
        return total

    assert run_both(expression, [1.3, 0.4, 0.9, 2.1, 1.7], [[0.5], [-0.8], [1.2]]).agree()


@pytest.mark.parametrize("root", [Value.sqrt, lambda x: x**0.5, lambda x: x**0.3])
def test_the_slope_of_a_root_at_0(root: Callable[[Value], Value]) -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        return root(p[0] * x[0]) * p[1]

    for factor in (2.0, -2.0):
        both = run_both(expression, [0.0, factor], [[1.0]])
        assert both.native_gradient.tolist() == both.gradient.tolist() == [factor * math.inf, 0.0]


@pytest.mark.parametrize(
    "expression",
    [
        lambda x: 0.0 * x.sqrt(),
        lambda x: (x.sqrt() - 5.0).relu(),
        lambda x: (x**0.5).maximum(1.0),
        lambda x: x.sqrt() ** 2,
        lambda x: x * x**0.5,
        lambda x: x * x**0.3,
        lambda x: 0.0 * (x + 0.0) ** (x + 0.5),
        lambda x: (x**0.3 - 5.0).relu(),
        lambda x: x.sqrt().abs(),
    ],
)
def test_a_root_at_0_that_nothing_depends_on_has_slope_0(
    expression: Callable[[Value], Value],
) -> None:
    """0 times an infinite slope is 0, as for an example that the loss does not depend on."""
    native = native_function(lambda p, x: expression(p[0]) * x[0], [0.5], [[1.0]])
    assert native.loss([0.0]) in (0.0, 1.0)
    assert native.gradient([0.0]).tolist() == [0.0]


def wide_relus(p: Sequence[Value], x: Sequence[Value]) -> list[Value]:
    """33 rows, half of them 0."""
    return [(p[i] * x[0] + p[i + 1] * x[1]).relu() for i in range(33)]


def two_heads(p: Sequence[Value], x: Sequence[Value]) -> Value:
    """Two layers of the same rows, one of them with a relu, and the rows themselves."""
    hidden = wide_relus(p, x)
    first = [(dot(p[i:], hidden) + p[i]).relu() for i in range(34, 68)]
    second = [dot(p[i:], hidden) for i in range(68, 101)]
    return dot(first, second) + hidden[5]


def dot(a: Sequence[Value], b: Sequence[Value]) -> Value:
    return sum_values(x * y for x, y in zip(a, b, strict=False))


def test_wide_layers_of_any_graph_leave_zeros_out() -> None:
    rng = np.random.default_rng(7)
    parameters, rows = rng.standard_normal(140) * 0.3, rng.standard_normal((65, 2))
    both = run_both(two_heads, parameters.tolist(), rows.tolist())
    assert np.allclose(both.native_losses, both.losses, rtol=1e-12, atol=1e-12)
    assert np.all(np.abs(both.native_gradient - both.gradient) <= 1e-12 * both.scale)


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_weights_that_are_not_finite_reach_the_loss_past_zeros(number: float) -> None:
    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        rows = [dot(p[i:], x).tanh() for i in range(32)]
        return sum_values(rows)

    native = native_function(expression, [0.5] * 64, [[0.0] * 32] * 64)
    assert native.loss([0.5] * 64) == 0.0
    assert math.isnan(native.loss([number, *[0.5] * 63]))


def test_a_function_refuses_arrays_of_other_shapes() -> None:
    native = native_function(lambda p, x: p[0] * x[0] + p[1] * x[1], [1.0, 2.0], [[3.0, 4.0]])
    program = native.program
    assert NativeFunction(program, np.array([[3, 4]])).loss([1.0, 2.0]) == 11.0
    for rows in (np.ones((3, 1)), np.ones((3, 3)), np.ones(2), np.ones((0, 2))):
        with pytest.raises(ValueError, match="examples × 2 inputs"):
            NativeFunction(program, rows)
    for parameters in ([1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="2 parameters"):
            native.gradient(parameters)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_of_a_function_has_memory_of_its_own(
    copied: Callable[[NativeFunction], NativeFunction],
) -> None:
    program = native_function(lambda p, x: (p[0] * x[0] + p[1]) ** 2, [1.0, 2.0], [[1.0]]).program
    native = NativeFunction(program, np.array([[1.0], [2.0]]), mean=True)
    assert native.loss([1.0, 2.0]) == 12.5
    other = copied(native)
    assert other.loss([5.0, 5.0]) == 162.5
    assert native.workspace.slots[:2].tolist() == [1.0, 2.0]
    del native
    assert other.gradient([5.0, 5.0]).tolist() == [40.0, 25.0]


def test_threads_may_share_a_function() -> None:
    """Kernels run without Python's lock, so two calls would overlap in the same memory."""
    rng = np.random.default_rng(0)
    count = 8 * 65
    program = native_function(
        lambda p, x: dot(p[:8], x) * sum_values((dot(p[i:], x)).tanh() for i in range(8, 512, 8)),
        [0.5] * count,
        rng.normal(size=(512, 8)).tolist(),
    )
    points = [rng.normal(size=count) for _ in range(4)]
    rates = [1e-4] * 3

    def answers(point: Array) -> list[bytes]:
        last, losses = program.descend(point, rates)
        return [a.tobytes() for a in (program.losses(point), program.gradient(point), last, losses)]

    expected = [answers(point) for point in points]
    with ThreadPoolExecutor(4) as threads:
        found = [list(threads.map(answers, points)) for _ in range(50)]
    assert found == [expected] * 50


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_what_is_not_finite_in_one_example_stays_there(number: float) -> None:
    native = native_function(lambda p, x: p[0] * x[0], [1.0], [[1.0], [number], [3.0]])
    losses = native.losses([2.0])
    assert losses[[0, 2]].tolist() == [2.0, 6.0]
    assert not math.isfinite(losses[1])
    assert np.isnan(native.gradient([2.0])).all()


def test_descent_on_a_graph_that_is_not_a_network() -> None:
    """Descends on a·sin(b·x) + c·exp(-d·x²), and compares with the scalar engine's steps."""

    def expression(p: Sequence[Value], x: Sequence[Value]) -> Value:
        a, b, c, d = p
        return (a * (b * x[0]).sin() + c * (-d * x[0] ** 2).exp() - x[1]) ** 2

    data = [numbers(2, i) for i in range(50)]
    native = native_function(expression, [1.0, 2.0, 0.5, 0.3], data)
    rates = [0.01 / (1 + k) for k in range(30)]
    last, losses = native.descend([1.0, 2.0, 0.5, 0.3], rates)
    parameters = [Value(p) for p in (1.0, 2.0, 0.5, 0.3)]
    for rate, loss in zip(rates, losses, strict=True):
        for p in parameters:
            p.grad = 0.0
        total = Value(0.0)
        for row in data:
            total = total + expression(parameters, [Value(x) for x in row])
        total.backward()
        assert loss == pytest.approx(total.data, rel=1e-12)
        for p in parameters:
            p.data -= rate * p.grad
    assert last.tolist() == pytest.approx([p.data for p in parameters], rel=1e-12)
