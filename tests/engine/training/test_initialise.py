"""A training starts from parameters that were drawn, or given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.networks.forward import layers_of
from engine.spec import JobSpec
from engine.train import TrainingState, train
from tests.engine.specs import SMALL, job, refusals, vary


def states(spec: JobSpec) -> dict[int, TrainingState]:
    found = (progress.snapshot() for progress in train(spec))
    return {state.step: state for state in found}


def document(spec: JobSpec, numbers: Any) -> list[dict[str, Any]]:
    """Parameters as the API gives them."""
    activations = [layer.activation for layer in spec.model.layers]
    return [
        {
            "weights": layer.weights.tolist(),
            "biases": layer.biases.tolist(),
            "activation": layer.activation,
        }
        for layer in layers_of(numbers, spec.sizes(), activations)
    ]


def starting(layers: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    model = SMALL["model"] | {"init": {"kind": "given", "layers": layers}}
    return vary(SMALL, **changes) | {"model": model}


@pytest.mark.parametrize("executor", ["native", "scalar"])
def test_a_training_starts_with_exactly_the_given_parameters(executor: str) -> None:
    """Continued after ten steps it ends where one of twenty steps does, to the bit."""
    whole = states(job(executor=executor))
    first = job(executor=executor, training={"steps": 10})
    middle = states(first)[10].parameters
    given = starting(document(first, middle), executor=executor, training={"steps": 10})
    second = states(JobSpec.model_validate(given))
    assert second[10].parameters.tobytes() == whole[20].parameters.tobytes()
    odd = np.array([1e-308, -0.0, 0.1, 1 / 3, 5e-324] * 4)[: first.parameters()]
    kept = JobSpec.model_validate(starting(document(first, odd), executor=executor))
    rates = kept.model_copy(
        update={"training": kept.training.model_copy(update={"checkpoint_every": 1})}
    )
    assert states(rates)[0].parameters.tobytes() == odd.tobytes()


def test_a_specification_with_given_parameters_reads_back() -> None:
    spec = JobSpec.model_validate(starting(LAYERS))
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


LAYERS: list[dict[str, Any]] = [
    {"weights": [[0.5, 1]] * 4, "biases": [0.0] * 4, "activation": "tanh"},
    {"weights": [[1.0, 2.0, 3.0, 4.0]], "biases": [0.5]},
]


@pytest.mark.parametrize(
    ("layer", "change", "place", "sentence"),
    [
        (0, {"weights": [[1.0, 2.0]] * 3}, "0/weights", "holds 3 rows, but layer 0 has 4 units"),
        (
            0,
            {"weights": [[1.0, 2.0]] * 3 + [[1.0]]},
            "0/weights/3",
            "holds 1 numbers, but layer 0 has 2 inputs",
        ),
        (1, {"biases": []}, "1/biases", "holds 0 numbers, but layer 1 has 1 units"),
        (0, {"activation": "relu"}, "0/activation", "is relu, but that of layer 0 of the model is"),
        (1, {"biases": ["1"]}, "1/biases/0", "Input should be a valid number"),
        (1, {"biases": [float("inf")]}, "1/biases/0", "Input should be a finite number"),
        (1, {"bias": [1.0]}, "1/bias", "Extra inputs are not permitted"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_with_their_place(
    layer: int, change: dict[str, Any], place: str, sentence: str
) -> None:
    layers = [dict(one) for one in LAYERS]
    layers[layer] |= change
    (found,) = refusals(starting(layers)).items()
    assert found[0] == f"/model/init/layers/{place}"
    assert found[1].startswith(sentence)


def test_as_many_layers_are_given_as_the_model_has() -> None:
    sentence = "holds 1 layers, but the model has 2"
    assert refusals(starting(LAYERS[:1])) == {"/model/init/layers": sentence}


def test_what_is_drawn_has_no_layers_and_what_is_given_no_seed() -> None:
    for init, place in (
        ({"kind": "given", "seed": 1, "layers": LAYERS}, "/model/init/seed"),
        ({"seed": 1, "layers": LAYERS}, "/model/init/layers"),
        ({"kind": "given"}, "/model/init/layers"),
        ({"kind": "zeros"}, "/model/init/kind"),
    ):
        model = SMALL["model"] | {"init": init}
        assert list(refusals(SMALL | {"model": model})) == [place]
