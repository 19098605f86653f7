"""The gradient checker finds wrong gradients and names their places."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Value
from engine.autograd.gradcheck import check_model, check_program, gradcheck
from engine.networks.activations import ACTIVATIONS
from engine.networks.batch_loss import l1, l2, reduce
from engine.networks.modules import MLP, Layer, Module
from engine.spec.loss import FORMULAS
from engine.training.initialise import build
from engine.training.prepared import prepare
from tests.engine.specs import job


def test_a_right_gradient_passes() -> None:
    check = gradcheck(lambda x, y: (x * y).sin() + x**3 / y, 0.7, -1.3)
    assert check
    assert check.count == 2
    assert check.error < 1e-8


def test_a_wrong_gradient_is_found_and_named() -> None:
    def wrong(x: Value, y: Value) -> Value:
        out = Value(x.data * y.data, (x, y), "wrong")

        def _backward() -> None:
            x.grad += y.data * out.grad
            y.grad += 2 * x.data * out.grad

        out._backward = _backward
        return out

    check = gradcheck(wrong, 3.0, 5.0)
    assert not check
    assert (check.place, check.exact) == ("input 1", 6.0)
    assert check.numeric == pytest.approx(3.0)
    assert check.error == pytest.approx(0.5)
    assert "input 1" in str(check)


def test_nan_is_the_worst_error() -> None:
    def nan(x: Value) -> Value:
        return x * math.nan

    assert not gradcheck(nan, 1.0)


STEEP: list[tuple[Callable[[Value], Value], float]] = [
    (Value.log, 1e-3),
    (Value.log, 1e-6),
    (Value.log, 1e-10),
    (Value.sqrt, 1e-6),
    (lambda v: v**0.5, 1e-5),
    (lambda v: 1 / v, 1e-3),
    (Value.sin, 1000.0),
    (Value.exp, 500.0),
    (Value.relu, 1e-7),
]
"""Functions with a bend or an end of their domain within the usual step or soon after it."""


@pytest.mark.parametrize(("function", "x"), STEEP)
def test_a_right_gradient_passes_where_the_usual_step_is_too_long(
    function: Callable[[Value], Value], x: float
) -> None:
    check = gradcheck(function, x)
    assert check.error < 1e-9, str(check)


@pytest.mark.parametrize(("function", "x"), [*STEEP, (Value.tanh, 0.5), (Value.exp, -1.0)])
@pytest.mark.parametrize("excess", [1e-4, -1e-5])
def test_a_gradient_that_is_slightly_wrong_is_measured(
    function: Callable[[Value], Value], x: float, excess: float
) -> None:
    def wrong(v: Value) -> Value:
        right = function(v)
        # Adds nothing to the number, but a share to the gradient.
        return right + excess * (right - right.data)

    check = gradcheck(wrong, x)
    assert not check
    assert check.error == pytest.approx(abs(excess), rel=1e-3)
    assert check.exact == pytest.approx((1 + excess) * check.numeric, rel=1e-8)


def test_where_no_difference_exists_nothing_is_confirmed() -> None:
    check = gradcheck(Value.sqrt, 0.0)
    assert not check
    assert math.isnan(check.numeric)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", FORMULAS)
def test_whole_models_and_losses(activation: str, loss: str) -> None:
    classes = 2 if loss == "cross_entropy" else 1
    spec = job(
        dataset={"kind": "gauss", "n_samples": 4, "seed": 2},
        model={"layers": [{"units": 2, "activation": activation}, {"units": classes}]},
        loss={"kind": loss},
    )
    prepared, model = prepare(spec), build(spec.model, 2)

    def total() -> Value:
        rows = zip(prepared.training.x.tolist(), prepared.training.targets.tolist(), strict=True)
        losses = [prepared.loss(model.outputs(x), target) for x, target in rows]
        parameters = model.parameters()
        return reduce(losses, "mean") + l2(parameters, 0.01) + l1(parameters[:4], 0.01)

    before = [p.data for p in model.parameters()]
    check = check_model(model, total)
    assert check, str(check)
    assert check.count == spec.parameters()
    assert [p.data for p in model.parameters()] == before


def test_the_place_in_a_model_is_what_one_would_write() -> None:
    model = MLP.of([Layer(2, 2, activation="tanh"), Layer(2, 1, activation="linear")])
    forgotten = model.layers[0].neurons[1].w[0]

    def broken() -> Value:
        out = model.outputs([1.0, 2.0])[0]
        # Counts in the number, but returns no gradient.
        return out + 3.0 * forgotten.data

    check = check_model(model, broken)
    assert not check
    assert check.place == "layers[0].neurons[1].w[0]"
    assert check.numeric - check.exact == pytest.approx(3.0)


def test_a_module_of_ones_own() -> None:
    class Curve(Module):
        def __init__(self) -> None:
            self.a, self.b = Value(0.3), Value(1.7)

        def parameters(self) -> list[Value]:
            return [self.a, self.b]

    curve = Curve()
    assert check_model(curve, lambda: curve.a * (curve.b * 2.0).sin())


def test_anything_with_a_loss_and_a_gradient() -> None:
    class Program:
        def loss(self, parameters: Sequence[float]) -> float:
            return sum(p**2 for p in parameters)

        def gradient(self, parameters: Sequence[float]) -> list[float]:
            return [2 * p for p in parameters[:-1]] + [0.0]

    check = check_program(Program(), [1.0, -2.0, 3.0])
    assert (check.place, bool(check)) == ("parameter 2", False)


UNARY = ["tanh", "sigmoid", "softplus", "gelu", "sin", "cos", "exp"]
Step = tuple[str, int, int]


@given(
    st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.sampled_from([*UNARY, "+", "-", "*"]), st.integers(0, 99), st.integers(0, 99)),
        min_size=1,
        max_size=12,
    ),
)
def test_random_graphs(point: list[float], steps: list[Step]) -> None:
    """Checks graphs with shared nodes, constants, unused inputs and any operations."""

    def graph(*inputs: Value) -> Value:
        nodes = [*inputs, Value(0.5)]
        for operation, i, j in steps:
            a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
            if operation in UNARY:
                # tanh keeps towers of exp in the range of finite differences.
                nodes.append(getattr(a.tanh(), operation)())
            else:
                nodes.append({"+": a + b, "-": a - b, "*": a * b}[operation].tanh())
        return nodes[-1]

    check = gradcheck(graph, *point)
    assert check, str(check)


def test_a_module_of_ones_own_may_yield_its_parameters_and_has_places_too() -> None:
    class Line:
        def __init__(self) -> None:
            self.weights = {"slope": Value(2.0)}
            self.offset = Value(0.5)

        def parameters(self) -> Iterator[Value]:
            yield self.weights["slope"]
            yield self.offset

    line = Line()
    slope = line.weights["slope"]
    assert check_model(line, lambda: (slope * 3 + line.offset) ** 2).count == 2
    wrong = check_model(line, lambda: slope.data * 3 + line.offset)
    assert (bool(wrong), wrong.place) == (False, "weights['slope']")
