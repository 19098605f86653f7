"""The cases: job specifications, and the same networks as plain arrays for the peers.

Hidden layers are relu and the last is linear in every case, which keeps the peers' code short.
Every peer starts from the same parameters and sees the same rows in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.batches import shuffled
from engine.spec import JobSpec
from engine.spec.schedules import rates
from engine.training.initialise import build
from engine.training.prepared import prepare

Array = npt.NDArray[np.float64]
Case = dict[str, Any]
"""A job specification without the number of steps."""


def case(
    dataset: Case, units: list[int], init: str, loss: Case, rate: Any, **training: Any
) -> Case:
    layers = [{"units": n, "activation": "relu"} for n in units]
    layers[-1]["activation"] = "linear"
    return {
        "dataset": dataset,
        "model": {"layers": layers, "init": {"kind": init, "seed": 1337}},
        "loss": loss,
        "optimizer": {"learning_rate": rate},
        "training": training,
    }


MOONS = case(
    {"kind": "moons", "n_samples": 100, "noise": 0.1, "seed": 1337},
    [16, 16, 1],
    "uniform",
    {"kind": "max_margin", "l2": 1e-4},
    {"kind": "linear", "start": 1.0, "end": 0.1},
)
"""micrograd's demo: 337 parameters, all 100 rows in every step."""

MOONS_UNLEARNED = MOONS | {"optimizer": {"learning_rate": 1e-12}}
"""The same with steps too short to learn anything: 85 rows violate their margin in every step."""

MINI_BATCHES = case(
    {
        "kind": "regression", "n_samples": 1000, "n_features": 8, "n_informative": 8,
        "standardise": True, "standardise_targets": True,
    },
    [32, 32, 1],
    "he",
    {"kind": "mse"},
    0.01,
    batch_size=32,
)  # fmt: skip
"""1,377 parameters; 31 batches of 32 rows and one of 8 make an epoch."""

WIDE = case(
    {
        "kind": "blobs", "n_samples": 256, "n_features": 64, "centers": 10, "cluster_std": 9.0,
        "standardise": True,
    },
    [512, 128, 10],
    "he",
    {"kind": "cross_entropy"},
    0.05,
)  # fmt: skip
"""100,234 parameters, batches of 256 rows."""

XOR = case({"kind": "xor"}, [8, 1], "uniform", {"kind": "max_margin"}, 0.2)
"""33 parameters and four rows: a job of less than a millisecond."""


def specify(case: Case, steps: int, executor: str = "native") -> JobSpec:
    training = case["training"] | {"steps": steps}
    return JobSpec.model_validate(case | {"training": training, "executor": executor})


@dataclass(frozen=True)
class Network:
    """A case as arrays.

    Attributes:
        x, targets: rows × inputs, rows × targets (one-hot for classes).
        layers: weights (units × inputs) and biases of each layer, before the first step.
        rates: the learning rate of each step.
        epochs: the order of the rows in each epoch (epochs × rows); None for full batches.
    """

    spec: JobSpec
    x: Array
    targets: Array
    layers: list[tuple[Array, Array]]
    rates: Array
    epochs: npt.NDArray[np.int64] | None


def network(case: Case, steps: int) -> Network:
    spec = specify(case, steps)
    prepared = prepare(spec)
    layers = []
    for layer in build(spec.model, prepared.training.x.shape[1]).layers:
        weights = np.array([[w.data for w in neuron.w] for neuron in layer.neurons])
        layers.append((weights, np.array([neuron.b.data for neuron in layer.neurons])))
    rows, batches = len(prepared.training), prepared.batches
    epochs = None
    if batches.per_epoch > 1:
        if steps % batches.per_epoch != 0:
            raise ValueError(
                f"{steps} steps are not a whole number of epochs of {batches.per_epoch} steps"
            )
        orders = [shuffled(rows, batches.seed, k) for k in range(steps // batches.per_epoch)]
        epochs = np.array(orders)
    return Network(
        spec=spec,
        x=prepared.training.x,
        targets=prepared.training.targets,
        layers=layers,
        rates=rates(spec.optimizer.learning_rate, steps, 0, steps),
        epochs=epochs,
    )


# A graph that is not a network: a·sin(b·x) + c·exp(-d·x²), least squares over 200 rows.

CURVE_START = (0.8, 1.8, 1.3, 0.7)
CURVE_RATE = 0.02


def curve_rows() -> tuple[Array, Array]:
    """x and y of the curve with a, b, c, d = 1, 2, 1.5, 0.5, plus Gaussian noise."""
    x = np.linspace(-3.0, 3.0, 200)
    noise = np.random.RandomState(1337).normal(0.0, 0.05, 200)
    return x, np.sin(2.0 * x) + 1.5 * np.exp(-0.5 * x * x) + noise
