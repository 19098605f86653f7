"""Networks from micrograd's constructors and from specifications."""

from __future__ import annotations

import copy
import math
import pickle
import random
from collections.abc import Callable

import numpy as np
import pytest

from engine import MLP, Layer, Neuron, Value
from engine.networks.activations import ACTIVATIONS
from engine.spec import ModelSpec
from engine.training.initialise import build


def test_weights_come_from_the_global_generator_in_micrograds_order() -> None:
    random.seed(1337)
    model = MLP(3, [4, 4, 1])
    random.seed(1337)
    for layer, inputs in zip(model.layers, (3, 4, 4), strict=True):
        for neuron in layer.neurons:
            assert [w.data for w in neuron.w] == [random.uniform(-1, 1) for _ in range(inputs)]
            assert neuron.b.data == 0.0
    assert len(model.parameters()) == 41


def test_parameters_are_weights_then_bias_neuron_by_neuron() -> None:
    model = MLP(2, [2, 1])
    first, second = model.layers[0].neurons
    (last,) = model.layers[1].neurons
    assert model.parameters() == [
        *first.w, first.b, *second.w, second.b, *last.w, last.b
    ]  # fmt: skip
    assert model.layers[0].neurons[0].w[0] is model.parameters()[0]


def test_calls_return_a_value_or_a_list_as_in_the_lecture() -> None:
    x = [2.0, 3.0, -1.0]
    assert isinstance(Neuron(3)(x), Value)
    assert isinstance(Layer(3, 1)(x), Value)
    two = Layer(3, 2)(x)
    assert isinstance(two, list)
    assert len(two) == 2
    assert isinstance(MLP(3, [4, 4, 1])(x), Value)


def test_a_layer_of_one_unit_can_be_followed_by_another() -> None:
    model = MLP(1, [1, 1, 1])
    y = model([0.5])
    assert isinstance(y, Value)
    y.backward()


def test_hidden_layers_are_relu_and_the_last_is_linear() -> None:
    model = MLP(1, [1, 1])
    for p, number in zip(model.parameters(), [-1.0, 0.5, 3.0, -7.0], strict=True):
        p.data = number
    assert model.outputs([1.0])[0].data == -7.0
    assert model.outputs([-1.0])[0].data == 3.0 * 1.5 - 7.0
    assert repr(model) == ("MLP of [Layer of [ReLUNeuron(1)], Layer of [LinearNeuron(1)]]")


def test_zero_grad() -> None:
    model = MLP(2, [3, 1])
    model.outputs([1.0, -1.0])[0].backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())


def test_a_wrong_number_of_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="a neuron with 3 inputs was called with 2"):
        MLP(3, [2, 1])([1.0, 2.0])


@pytest.mark.parametrize("make", [lambda: MLP(3, []), lambda: MLP.of([])])
def test_a_network_without_layers_is_refused(make: Callable[[], MLP]) -> None:
    with pytest.raises(ValueError, match="a network needs at least one layer"):
        make()


def test_a_layer_without_neurons_is_refused() -> None:
    with pytest.raises(ValueError, match="a layer needs at least one neuron, not -1"):
        MLP(2, [-1, 1])


def test_an_activation_that_does_not_exist_is_refused_at_once() -> None:
    known = "no activation 'rely'; there are linear, relu, .*, sin"
    with pytest.raises(ValueError, match=known):
        Neuron(2, activation="rely")
    with pytest.raises(ValueError, match=known):
        Layer(2, 2, activation="rely")


def test_the_lectures_four_rows_are_learned() -> None:
    random.seed(1)
    model = MLP.of([Layer(3, 4, activation="tanh"), Layer(4, 1, activation="tanh")])
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    for _ in range(100):
        predictions = [model.outputs(x)[0] for x in xs]
        loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, predictions, strict=True))
        assert isinstance(loss, Value)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data += -0.1 * p.grad
    assert loss.data < 0.1
    assert [p.data > 0 for p in predictions] == [True, False, False, True]


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        ("uniform", [1.0, 1.0]),
        ("xavier", [math.sqrt(6 / 8), math.sqrt(6 / 6)]),
        ("he", [math.sqrt(6 / 3), math.sqrt(6 / 5)]),
    ],
)
@pytest.mark.parametrize("bias", ["zeros", "uniform"])
def test_initialisation_draws_from_its_own_seed(kind: str, limits: list[float], bias: str) -> None:
    spec = ModelSpec.model_validate(
        {"layers": [{"units": 5}, {"units": 1}], "init": {"kind": kind, "bias": bias, "seed": 7}}
    )
    state = random.getstate()
    model = build(spec, 3)
    assert random.getstate() == state
    rng = random.Random(7)
    for layer, limit in zip(model.layers, limits, strict=True):
        for neuron in layer.neurons:
            assert [w.data for w in neuron.w] == [rng.uniform(-limit, limit) for _ in neuron.w]
            assert neuron.b.data == (rng.uniform(-limit, limit) if bias == "uniform" else 0.0)


def test_every_activation_of_a_specification_exists() -> None:
    for name in ACTIVATIONS:
        spec = ModelSpec.model_validate({"layers": [{"units": 1, "activation": name}]})
        assert isinstance(build(spec, 1).outputs([0.5])[0], Value)
    with pytest.raises(ValueError, match="activation"):
        ModelSpec.model_validate({"layers": [{"units": 1, "activation": "step"}]})


@pytest.mark.parametrize("call", [iter, tuple, np.array, lambda xs: (x for x in xs)])
@pytest.mark.parametrize("model", [Neuron(3), Layer(3, 2), MLP(3, [4, 2])], ids=repr)
def test_inputs_may_be_any_iterable_of_numbers(
    model: Callable[..., object], call: Callable[..., object]
) -> None:
    inputs = [1.0, -2.0, 0.5]
    assert model(call(inputs)) == model(inputs)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (3.0, "inputs must be a sequence of numbers or Values, not a float"),
        (Value(3.0), "inputs must be a sequence of numbers or Values, not a Value"),
        (None, "inputs must be a sequence of numbers or Values, not None"),
        (np.ones((2, 2)), r"input 0 must be a number .*array of shape \(2,\); .*one row of inputs"),
        ([[1.0, 2.0], [3.0, 4.0]], "input 0 must be a number or a Value, not a list"),
        ([1.0, "2"], "input 1 must be a number or a Value, not the text '2'"),
        ([1.0, 2j], "input 1 must be a number or a Value, not a complex"),
    ],
)
@pytest.mark.parametrize("model", [Neuron(2), Layer(2, 2), MLP(2, [2, 1])], ids=repr)
def test_inputs_that_are_not_numbers_are_named(
    model: Callable[..., object], inputs: object, words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        model(inputs)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: MLP(2, 3), TypeError, "nouts must be a list of layer sizes, not an int"),
        (lambda: MLP(-1, [1]), ValueError, "at least one input, not -1"),
        (lambda: MLP(0, [1]), ValueError, "at least one input, not 0"),
        (lambda: MLP(2.0, [1]), TypeError, "number of inputs must be an int, not a float"),
        (lambda: MLP("2", [1]), TypeError, "number of inputs must be an int, not the text '2'"),
        (lambda: MLP(2, [1, 2.5]), TypeError, "number of neurons must be an int, not a float"),
        (lambda: MLP(2, [None]), TypeError, "number of neurons must be an int, not None"),
        (lambda: Layer(2, 0), ValueError, "at least one neuron, not 0"),
        (lambda: Neuron(1.5), TypeError, "number of inputs must be an int, not a float"),
    ],
)
def test_impossible_sizes_are_refused_by_name(
    make: Callable[[], object], error: type[Exception], words: str
) -> None:
    state = random.getstate()
    with pytest.raises(error, match=words):
        make()
    assert random.getstate() == state


def test_sizes_may_be_numpys_and_come_from_an_iterator() -> None:
    assert len(MLP(np.int64(2), iter(np.array([3, 1]))).parameters()) == 13


def test_a_model_can_be_copied_and_pickled() -> None:
    model = MLP(2, [3, 1])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other([1.0, 2.0]) == model([1.0, 2.0])
        other.parameters()[0].data += 1.0
        assert other.parameters()[0] != model.parameters()[0]
