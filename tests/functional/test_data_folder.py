"""The data folder: for its owner only, and noticed when it goes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.functional.conftest import SHORT, Start, Up
from tests.processes import until


@pytest.fixture
def open_umask() -> Iterator[None]:
    """What is made without a mode of its own can be read and written by everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    found = [folder, *folder.rglob("*")]
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in found if not path.is_symlink()}
    return [f"{path} {mode:o}" for path, mode in modes.items() if mode & 0o077]


@pytest.mark.usefixtures("open_umask")
def test_nobody_else_can_read_the_data(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "made" / "too"
    up = start(data).wait_until_up()
    up.wait_for(up.submit(SHORT), "succeeded")

    assert open_to_others(tmp_path / "made") == []
    assert {path.name for path in data.iterdir()} >= {"gradserve.db", "lock", "logs", "broker.sock"}
    up.end()
    assert open_to_others(data) == []


@pytest.mark.usefixtures("open_umask")
@pytest.mark.long
def test_a_folder_that_an_older_version_left_open_is_closed(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "var"
    up = start(data).wait_until_up()
    id = up.submit(SHORT)
    up.wait_for(id, "succeeded")
    up.end()
    for path in [data, *data.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)

    up = start(data).wait_until_up()

    assert open_to_others(data) == []
    assert up.job(id)["state"] == "succeeded"


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_folder_of_somebody_else_is_neither_used_nor_closed(
    start: Start, tmp_path: Path, mode: int
) -> None:
    data = tmp_path / "home"
    data.mkdir()
    (data / "letter.txt").touch()
    data.chmod(mode)

    up = start(data)

    assert up.process.wait(20) == 1
    (sentence,) = up.err.splitlines()
    assert str(data) in sentence
    assert "chmod 700" in sentence
    assert [path.name for path in data.iterdir()] == ["letter.txt"]
    assert stat.S_IMODE(data.stat().st_mode) == mode


def test_a_folder_for_everybody_is_not_closed(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "tmp"
    data.mkdir()
    (data / "lock").touch()
    data.chmod(0o1777)

    up = start(data)

    assert up.process.wait(20) == 1
    assert "may be read by other users" in up.err
    assert stat.S_IMODE(data.stat().st_mode) == 0o1777


def test_an_empty_folder_is_closed_and_used(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "empty"
    data.mkdir()
    data.chmod(0o755)

    start(data).wait_until_up()

    assert open_to_others(data) == []


def replace(data: Path) -> None:
    data.rename(data.with_name("moved"))
    shutil.copytree(data.with_name("moved"), data, ignore=shutil.ignore_patterns("*.sock"))


@pytest.mark.parametrize(
    "take",
    [
        pytest.param(shutil.rmtree, id="deleted"),
        pytest.param(lambda data: data.rename(data.with_name("moved")), id="moved"),
        pytest.param(replace, id="replaced"),
        pytest.param(lambda data: (data / "gradserve.db").unlink(), id="only the database"),
        pytest.param(lambda data: (data / "lock").unlink(), id="only the lock"),
    ],
)
def test_it_ends_when_its_folder_goes(up: Up, take: Callable[[Path], object]) -> None:
    take(up.data)

    def refused() -> bool:
        try:
            return up.http.post("/v1/jobs", json=SHORT).status_code != 201
        except httpx.TransportError:
            return True

    until(refused, 5, "no job is accepted any more")
    assert up.process.wait(15) == 1
    (sentence,) = up.err.splitlines()
    assert str(up.data) in sentence
    assert "was deleted or replaced" in sentence
    assert "start `gradserve up` again" in sentence
    assert [left for left in up.leftovers() if "moved" not in left] == []
