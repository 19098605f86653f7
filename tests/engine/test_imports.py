"""Importing the engine loads little, so that a notebook and the API start at once."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded(statement: str) -> set[str]:
    """Top-level packages that a fresh process has after the statement."""
    program = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_engine_alone_needs_nothing_installed() -> None:
    packages = loaded("from engine import Value, MLP")
    assert "engine" in packages
    assert not packages & {"numpy", "pydantic", "numba", "sklearn", "flask", "celery", "sqlalchemy"}


@pytest.mark.parametrize("module", ["engine.spec", "engine.train", "engine.data.loading"])
def test_heavy_libraries_wait_until_they_are_used(module: str) -> None:
    assert not loaded(f"import {module}") & {"numba", "sklearn", "scipy", "flask", "celery"}


def test_checking_a_specification_needs_no_numpy() -> None:
    assert "numpy" not in loaded("from engine.spec import JobSpec")
