"""The names of `gradserve`, and the little that each of them loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import engine
import gradserve
from gradserve.client import Client, Gradserve

HEAVY = {"httpx", "numpy", "pydantic", "rich", "click", "numba", "flask", "celery", "sqlalchemy"}


def loaded(statement: str) -> set[str]:
    """Top-level packages that a fresh process has after the statement."""
    program = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "statement", ["import gradserve", "from gradserve import Value, MLP, draw_dot"]
)
def test_the_engines_names_need_nothing_installed(statement: str) -> None:
    assert loaded(statement) & HEAVY == set()


def test_the_client_loads_neither_the_engine_nor_the_service() -> None:
    packages = loaded("from gradserve import Gradserve")
    assert packages & {"engine", "service", "worker", "numpy", "pydantic"} == set()


def test_every_public_name_is_the_one_of_its_home() -> None:
    for name in engine.__all__:
        assert getattr(gradserve, name) is getattr(engine, name)
    assert gradserve.Gradserve is Gradserve
    assert set(engine.__all__) <= set(gradserve.__all__) <= set(dir(gradserve))


def test_an_unknown_name_is_refused_as_in_any_module() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Valeu'"):
        exec("from gradserve import Valeu")


def test_the_old_name_of_the_client_works_and_says_the_new_one() -> None:
    with pytest.warns(DeprecationWarning, match="from gradserve import Gradserve"):
        client = Client("http://127.0.0.1:1")
    with client:
        assert isinstance(client, Gradserve)
