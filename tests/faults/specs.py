"""Jobs for the fault tests: little arithmetic, stretched by sleeping to any length."""

from __future__ import annotations

import math

from engine.spec import JobSpec

STEPS_PER_SLICE = 4
LONGEST_SLEEP_SECONDS = 0.1


def make_spec(seconds: float = 0.0, *, seed: int = 0, executor: str = "scalar") -> JobSpec:
    """A job that takes about `seconds` and sleeps nearly all of them between short slices."""
    slices = max(50, math.ceil(seconds / LONGEST_SLEEP_SECONDS))
    return JobSpec.model_validate(
        {
            "name": f"pace:{seconds / slices:g}" if seconds else None,
            "dataset": {"kind": "xor", "n_samples": 4},
            "model": {
                "layers": [{"units": 2, "activation": "tanh"}, {"units": 1}],
                "init": {"seed": seed},
            },
            "loss": {"kind": "mse", "l2": 1e-4},
            "optimizer": {"learning_rate": 0.05, "momentum": 0.9},
            "training": {
                "steps": slices * STEPS_PER_SLICE,
                "batch_size": 3,
                "seed": seed,
                "checkpoint_every": STEPS_PER_SLICE,
            },
            "executor": executor,
        }
    )


def make_tiny_spec(seed: int = 0) -> JobSpec:
    """A job of a few milliseconds."""
    training = {"steps": 2, "seed": seed}
    return JobSpec.model_validate(make_spec(seed=seed).model_dump() | {"training": training})


def make_slow(seconds: float) -> JobSpec:
    """A job whose first slice takes this number of seconds."""
    return make_spec().model_copy(update={"name": f"slow:{seconds:g}"})


def make_poison() -> JobSpec:
    """A job that kills the process that trains it."""
    return make_spec().model_copy(update={"name": "poison"})


def make_diverging_spec() -> JobSpec:
    """A job whose loss soon is not a number."""
    changes = {"optimizer": {"learning_rate": 1e5, "momentum": 0.0}}
    return JobSpec.model_validate(make_spec().model_dump() | changes)
