"""Figures and environments in `gradserve show`, also when a service does not send them."""

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
    state |= {"validation_loss": None, "validation_accuracy": None}
    return {"id": "job_1", "name": None, "attempt": 1, "error": None, "spec": spec} | (
        times | state | fields
    )


def shown(job: dict[str, Any]) -> dict[str, str]:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(job_table(job))  # type: ignore[arg-type]
    lines = [line.split("  ", 1) for line in console.export_text().splitlines()]
    return {name.strip(): value.strip() for name, value in lines}


NEW = {"delivered", "best", "computed by"}


def test_a_job_of_an_older_service_is_shown_without_them() -> None:
    assert NEW.isdisjoint(shown(job()))


@pytest.mark.parametrize("none", [None, []])
def test_what_is_not_known_yet_is_not_shown(none: object) -> None:
    assert NEW.isdisjoint(shown(job(final=None, best=None, environment=none)))


def test_delivered_and_best_figures_are_shown_with_their_steps() -> None:
    fields = shown(job(final=FIGURES, best=VALIDATED | {"step": 900}))
    assert fields["last logged"] == "loss 0.3, accuracy 80.0 %"
    assert fields["delivered"] == "step 1,200: loss 0.25, accuracy 87.5 %"
    assert fields["best"] == (
        "step 900: loss 0.25, accuracy 87.5 %; validation loss 0.5, accuracy 75.0 %"
    )


def test_a_regressions_figures_are_scored_by_r2() -> None:
    assert shown(job("mse", final=FIGURES))["delivered"] == "step 1,200: loss 0.25, R² 0.8750"


def test_the_environment_is_shown_with_its_first_step() -> None:
    later = ENVIRONMENT | {"from_step": 1000}
    assert shown(job(environment=[later]))["computed by"] == (
        "engine 0.2.0, numpy 2.3, numba 0.68, processor x86_64 AVX-512 from step 1,000 on"
    )
