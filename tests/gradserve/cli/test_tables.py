"""Figures and environments in `gradserve show`, and what it does where they are not sent."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from gradserve.cli.tables import job_table

FIGURES = {
    "step": 1200,
    "loss": 0.25,
    "accuracy": 0.875,
    "validation_loss": None,
    "validation_accuracy": None,
}
VALIDATED = FIGURES | {"validation_loss": 0.5, "validation_accuracy": 0.75}
ENVIRONMENT = {
    "from_step": 0,
    "engine": "0.2.0",
    "numpy": "2.3",
    "numba": "0.68",
    "processor": "x86_64 AVX-512",
}


def job(loss: str = "max_margin", **fields: Any) -> dict[str, Any]:
    spec = {
        "dataset": {"kind": "moons"},
        "model": {"layers": [{"units": 1, "activation": "linear"}]},
        "loss": {"kind": loss},
        "optimizer": {"learning_rate": {"kind": "constant", "value": 0.1}},
        "executor": "native",
    }
    times = {"created_at": None, "started_at": None, "finished_at": None}
    state = {"state": "succeeded", "step": 1200, "steps": 1200, "loss": 0.3, "accuracy": 0.8}
    return {"id": "job_1", "name": None, "attempt": 1, "error": None, "spec": spec} | (
        times | state | fields
    )


def shown(job: dict[str, Any]) -> dict[str, str]:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(job_table(job))  # type: ignore[arg-type]
    lines = [line.split("  ", 1) for line in console.export_text().splitlines()]
    return {name.strip(): value.strip() for name, value in lines}


def test_a_job_of_an_older_service_is_shown_without_them() -> None:
    assert {"final", "best", "trained by"}.isdisjoint(shown(job()))


@pytest.mark.parametrize("none", [None, []])
def test_what_is_not_known_yet_is_not_shown(none: object) -> None:
    fields = shown(job(final=None, best=None, environment=none))
    assert {"final", "best", "trained by"}.isdisjoint(fields)


def test_final_and_best_figures_are_shown_with_their_steps() -> None:
    fields = shown(job(final=FIGURES, best=VALIDATED | {"step": 900}))
    assert fields["final"] == "loss 0.25, accuracy 87.5 % after 1,200 steps"
    assert fields["best"] == (
        "loss 0.25, accuracy 87.5 % (validation loss 0.5, accuracy 75.0 %) after 900 steps"
    )


def test_a_regressions_figures_are_scored_by_r2() -> None:
    fields = shown(job("mse", final=FIGURES))
    assert fields["final"] == "loss 0.25, R² 0.8750 after 1,200 steps"


def test_each_environment_is_shown_from_its_first_step() -> None:
    later = ENVIRONMENT | {"from_step": 1000, "numpy": "2.4"}
    fields = shown(job(environment=[ENVIRONMENT, later]))
    assert fields["trained by"] == "gradserve 0.2.0, NumPy 2.3, numba 0.68, x86_64 AVX-512"
    assert "NumPy 2.4" in fields["from step 1,000"]
