"""A module of the user's with the name of one of our packages is named with the remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOSTILE = "raise SystemExit('the code of the user was run')\n"
IMPORT = "from gradserve import Value; print(Value(3.0).data)"
SENTENCE = "hides gradserve's own package {!r}: rename it, or run Python in another folder"


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def module(folder: Path, name: str) -> Path:
    file = folder / f"{name}.py"
    file.write_text(HOSTILE)
    return file


def package(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(HOSTILE)
    return folder / name


@pytest.mark.parametrize("kind", [module, package])
@pytest.mark.parametrize("name", ["Value", "MLP", "draw_dot"])
def test_an_engine_of_the_users_own_is_named(tmp_path: Path, kind, name: str) -> None:
    hiding = kind(tmp_path, "engine")
    done = python(tmp_path, "-c", f"from gradserve import {name}")
    *_, last = done.stderr.splitlines()
    assert last.endswith(f": {hiding} {SENTENCE.format('engine')}")
    assert done.returncode == 1


def test_an_engine_that_is_already_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("power = 90")
    done = python(tmp_path, "-c", f"import engine; {IMPORT}")
    *_, last = done.stderr.splitlines()
    assert last.endswith(f": {tmp_path / 'engine.py'} {SENTENCE.format('engine')}")


def test_a_folder_that_python_does_not_import_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    done = python(tmp_path, "-c", IMPORT)
    assert (done.stdout, done.stderr) == ("3.0\n", "")


@pytest.mark.parametrize("name", ["engine", "service", "worker", "migrations"])
def test_up_names_the_file_in_one_sentence(tmp_path: Path, name: str) -> None:
    hiding = module(tmp_path, name)
    done = python(tmp_path, "-m", "gradserve", "up", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == f"Error: {hiding} {SENTENCE.format(name)}\n"
    assert list(tmp_path.iterdir()) == [hiding]


def test_submit_names_the_file_in_one_sentence(tmp_path: Path) -> None:
    hiding = module(tmp_path, "engine")
    done = python(tmp_path, "-m", "gradserve", "submit", "job.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {hiding} {SENTENCE.format('engine')}\n"


def test_the_help_needs_none_of_the_packages(tmp_path: Path) -> None:
    for name in ("engine", "service", "worker"):
        module(tmp_path, name)
    done = python(tmp_path, "-m", "gradserve", "submit", "--help")
    assert done.returncode == 0
