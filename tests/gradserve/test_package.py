"""`from gradserve import …`: its names, the modules that it loads, and its errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import gradserve
from gradserve.client import Client, Gradserve

ROOT = Path(__file__).parents[2]


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs code as a notebook does, with the modules in its own folder first."""
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


@pytest.mark.parametrize("inside_of_ours", [False, True])
@pytest.mark.parametrize("kind", ["module", "package"])
def test_whatever_hides_the_engine_is_named(
    tmp_path: Path, kind: str, inside_of_ours: bool
) -> None:
    with TemporaryDirectory(dir=ROOT if inside_of_ours else tmp_path) as folder:
        path = Path(folder) / ("engine.py" if kind == "module" else "engine/__init__.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise RuntimeError('somebody else was imported')\n")
        done = python("from gradserve import MLP", Path(folder))
    assert f"ImportError: {path} hides gradserve's own package 'engine'" in done.stderr


def test_an_engine_of_the_users_that_is_already_imported_is_named(tmp_path: Path) -> None:
    path = tmp_path / "engine.py"
    path.write_text("power = 90\n")
    done = python("import engine; from gradserve import Value", tmp_path)
    assert f"ImportError: {path} hides gradserve's own package 'engine'" in done.stderr


def test_a_folder_without_a_module_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    done = python("from gradserve import Value; print(Value(3.0).data)", tmp_path)
    assert (done.stdout, done.stderr) == ("3.0\n", "")


def test_the_old_name_of_the_client_works_and_says_the_new_one() -> None:
    with pytest.warns(DeprecationWarning, match="from gradserve import Gradserve"):
        client = Client("http://127.0.0.1:1")
    with client:
        assert isinstance(client, Gradserve)
