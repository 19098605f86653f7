"""Networks of every kind of output, activation and column, to be exported."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.export import Origin, TrainedModel
from engine.inference import preprocessing_of
from engine.networks.activations import ACTIVATIONS
from engine.networks.forward import layers_of
from engine.spec import JobSpec
from engine.training.initialise import build
from tests.engine.specs import IRIS, MOONS, SMALL, vary

ORIGIN = Origin("job_0123", 'a "name"\nimport os', 7, 0.125)

TEXT = (
    "class,numbers,size,old,kind\n"
    "red,a,1.5,yes,cat\nblue,b,2.5,no,dog\nred,b,,no,cat\ngreen,a,4.25,yes,bird\n"
)
TABLE: dict[str, Any] = vary(
    SMALL,
    dataset={"kind": "csv", "text": TEXT, "missing": "mean", "standardise": True},
    model={"layers": [{"units": 5, "activation": "tanh"}, {"units": 3}]},
    loss={"kind": "cross_entropy"},
)
FEATURES: dict[str, Any] = vary(
    MOONS,
    dataset=MOONS["dataset"]
    | {"features": ["x", "y^3", "sin(2*x)", "cos(y)*x^2", "(x*y)^2"], "standardise": True},
)
DIABETES = vary(
    SMALL,
    dataset={"kind": "diabetes", "standardise": True, "standardise_targets": True},
    loss={"kind": "mse"},
)


def activation(name: str) -> dict[str, Any]:
    """A network whose hidden layer reaches far into both ends of the activation."""
    layers = [{"units": 16, "activation": name}, {"units": 1}]
    return vary(SMALL, model={"layers": layers, "init": {"seed": 2, "bias": "uniform"}})


DOCUMENTS: dict[str, dict[str, Any]] = {
    "score": MOONS,
    "sigmoid": SMALL,
    "softmax": IRIS,
    "value": DIABETES,
    "table": TABLE,
    "features": FEATURES,
    **{name: activation(name) for name in ACTIVATIONS},
}


def model(document: dict[str, Any]) -> TrainedModel:
    """A network as it starts, which is as good as a trained one to be exported."""
    spec = JobSpec.model_validate(document)
    parameters = np.array([p.data for p in build(spec.model, spec.sizes()[0]).parameters()])
    activations = [layer.activation for layer in spec.model.layers]
    layers = layers_of(3.0 * parameters, spec.sizes(), activations)
    return TrainedModel(preprocessing_of(spec), layers, ORIGIN)


def rows(found: TrainedModel) -> list[list[Any]]:
    """Rows as people have them, near the data and far from them."""
    rng = np.random.default_rng(1)
    columns = []
    for column in found.preprocessing.columns:
        if column.type == "text":
            columns.append(rng.choice(np.array(column.categories), 60).tolist())
        elif column.type == "boolean":
            columns.append(rng.integers(0, 2, 60).tolist())
        else:
            scale = np.where(np.arange(60) < 30, 1.0, 10.0)
            columns.append((scale * rng.normal(size=60)).tolist())
    made = [list(row) for row in zip(*columns, strict=True)]
    if found.preprocessing.means is not None:
        made.append([None] * len(columns))
    return made
