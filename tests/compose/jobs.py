"""Jobs for the stack, and the check that they ended as they should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradserve.client import Gradserve
from tests.compose.checks import expect, until

SEEDS = (1, 2, 3, 4)
# With the scalar executor on one core a step takes 3 ms or more. A short job ends before its first
# checkpoint, and a long one writes many.
SHORT = 60
LONG = 3000


def spec(name: str, seed: int, steps: int = SHORT) -> dict[str, Any]:
    return {
        "name": name,
        "dataset": {"kind": "moons", "n_samples": 20, "noise": 0.1, "seed": seed},
        "model": {
            "layers": [{"units": 4, "activation": "relu"}, {"units": 1}],
            "init": {"kind": "uniform", "seed": seed},
        },
        "loss": {"kind": "max_margin", "l2": 1e-4},
        "optimizer": {"learning_rate": 0.2, "momentum": 0.5},
        "training": {"steps": steps, "log_every": 1},
        "executor": "scalar",
    }


def submit(client: Gradserve, name: str, seeds: Sequence[int], steps: int) -> list[str]:
    return [client.submit(spec(name, seed, steps))["id"] for seed in seeds]


def outcome(client: Gradserve, id: str) -> tuple[list[Any], str]:
    """The whole history and the SHA-256 of the parameters; equal for runs with the same bits."""
    rows = [dict(row) for row in client.history(id)]
    for row in rows:
        del row["elapsed_seconds"]  # differs in every run
    return rows, client.parameters(id)["sha256"]


def wait(client: Gradserve, name: str, number: int, seconds: float) -> None:
    """Waits until N jobs of this name have ended."""

    def ended() -> bool:
        return sum(job["terminal"] for job in client.list(limit=1000, name=name)) >= number

    until(ended, seconds, f"{number} jobs {name!r} end")


class Undisturbed:
    """Undisturbed runs, to compare all others with."""

    def __init__(self, client: Gradserve, steps: int) -> None:
        self.steps = steps
        name = f"undisturbed {steps}"
        ids = submit(client, name, SEEDS, steps)
        wait(client, name, len(SEEDS), 300)
        self._outcomes = {seed: outcome(client, id) for seed, id in zip(SEEDS, ids, strict=True)}

    def check(self, client: Gradserve, name: str, number: int) -> int:
        """Checks that all jobs of a name succeeded with the bits of the undisturbed runs.

        Returns the number of jobs that needed another attempt.

        Raises:
            Failed: a job did not succeed, has other bits, or is missing.
        """
        found = client.list(limit=1000, name=name)
        expect(len(found) == number, f"{len(found)} jobs {name!r} instead of {number}")
        for summary in found:
            job = client.get(summary["id"])
            expect(job["state"] == "succeeded", f"{job['id']} is {job['state']}: {job['error']}")
            history, sha256 = outcome(client, job["id"])
            steps = [row["step"] for row in history]
            expect(steps == list(range(self.steps)), f"{job['id']} lacks or repeats steps")
            same = (history, sha256) == self._outcomes[job["spec"]["dataset"]["seed"]]
            expect(same, f"{job['id']} differs from the undisturbed job")
        return sum(summary["attempt"] > 1 for summary in found)
