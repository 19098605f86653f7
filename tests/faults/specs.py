"""Jobs for the fault tests: a fraction of a second of arithmetic, for as long as it takes."""

from __future__ import annotations

from typing import Any

from engine.spec import JobSpec


def make_spec(seconds: float = 0.0, *, steps: int = 200, seed: int = 0, **training: Any) -> JobSpec:
    """A job that takes about `seconds`, most of them asleep; 50 slices of a fiftieth each."""
    return JobSpec.model_validate(
        {
            "name": f"pace:{seconds / 50:g}" if seconds else None,
            "dataset": {"kind": "xor", "n_samples": 4},
            "model": {
                "layers": [{"units": 2, "activation": "tanh"}, {"units": 1}],
                "init": {"seed": seed},
            },
            "loss": {"kind": "mse", "l2": 1e-4},
            "optimizer": {"learning_rate": 0.05, "momentum": 0.9},
            "training": {"steps": steps, "batch_size": 3, "seed": seed, **training},
            "executor": "scalar",
        }
    )
