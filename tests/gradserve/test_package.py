"""`from gradserve import …`: what it gives, what it loads, and what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gradserve


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs code as a notebook does: modules in its own folder come first."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def hide(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text("raise RuntimeError('somebody else was imported')\n")
    return path


def test_every_name_that_it_lists_is_there() -> None:
    assert {"Gradserve", "Value", "MLP"} <= set(gradserve.__all__) <= set(dir(gradserve))
    for name in gradserve.__all__:
        assert getattr(gradserve, name).__name__ == name


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Valve'"):
        _ = gradserve.Valve  # type: ignore[attr-defined]


def test_values_need_the_standard_library_alone(tmp_path: Path) -> None:
    code = "import sys; from gradserve import MLP, Value; print(*sys.modules)"
    loaded = set(python(code, tmp_path).stdout.split())
    assert "engine" in loaded
    assert not loaded & {"httpx", "numpy", "pydantic", "click", "service", "worker"}


def test_a_module_that_hides_the_engine_is_named(tmp_path: Path) -> None:
    path = hide(tmp_path, "engine")
    done = python("from gradserve import Value", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {path} hides gradserve's own package 'engine': rename it, "
        "or start Python in another folder"
    )


def test_the_client_works_beside_a_module_named_engine(tmp_path: Path) -> None:
    hide(tmp_path, "engine")
    done = python("from gradserve import Gradserve; Gradserve().close()", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["engine", "service", "worker"])
def test_the_command_names_what_hides_a_package_of_ours(tmp_path: Path, name: str) -> None:
    path = hide(tmp_path, name)
    done = subprocess.run(
        [sys.executable, "-m", "gradserve", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {path} hides gradserve's own package {name!r}: rename it, "
        "or start Python in another folder\n"
    )
