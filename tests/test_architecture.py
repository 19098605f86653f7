"""docs/architecture.md is true: what it names exists, and things are added where it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = ("gradserve", "engine", "service", "worker")
# Homes of the table that do not exist yet. A name that does exist must leave this list.
PLANNED = {"engine/spec/losses.py", "engine/spec/schedules.py"}


class Edit(NamedTuple):
    """Text to insert into a file before the first line that starts with `before`."""

    file: str
    before: str
    text: str


class Addition(NamedTuple):
    """One thing to add, and a program that uses it and prints two results that must agree."""

    edits: tuple[Edit, ...]
    program: str


OPERATION = Addition(
    edits=(
        Edit(
            "engine/autograd/value.py",
            "    def exp(self)",
            "    def reciprocal(self) -> Value:\n"
            '        return _node(1.0 / self._data, (self,), "reciprocal", reciprocal_rule)\n\n',
        ),
        Edit(
            "engine/autograd/value.py",
            "def tanh_rule(",
            "def reciprocal_rule(out: Node) -> None:\n"
            "    (a,) = out._prev\n"
            "    a._grad -= out._data * out._data * out._grad\n\n\n",
        ),
        Edit(
            "engine/compiler/operations.py",
            "    ZERO = 22",
            '    RECIPROCAL = 23, "reciprocal", 1, "result"\n',
        ),
        Edit(
            "engine/native/kernels/rules.py",
            "def tanh(",
            "def reciprocal(x: Lanes) -> Lanes:\n"
            "    return 1.0 / x\n\n\n"
            "def reciprocal_rule(x: Lanes, y: Lanes, g: Lanes) -> Lanes:\n"
            "    return -(g * (y * y))\n\n\n",
        ),
    ),
    program="""
import numpy as np
from engine import Value
from engine.compiler.record import record
from engine.native.function import NativeFunction

ROWS, RATE, STEPS = [[0.5], [0.25], [2.0]], 0.05, 20

def loss(w, x):
    return ((w * x + 1.0).reciprocal() - x) ** 2

w = Value(0.75)
for _ in range(STEPS):
    w.grad = 0.0
    total = sum(loss(w, Value(x)) for (x,) in ROWS)
    total.backward()
    w.data -= RATE * w.grad

first, x = Value(0.75), Value(0.5)
function = NativeFunction(record(loss(first, x), [first], [x]), np.array(ROWS))
(native,), _ = function.descend([0.75], [RATE] * STEPS)
print(w.data, native)
""",
)

TRAINING = """
from engine.spec import JobSpec
from engine.train import train

for executor in ("scalar", "native"):
    *_, last = train(JobSpec.model_validate({document!r} | {{"executor": executor}}))
    print(last.rows[-1].loss, end=" ")
"""
DOCUMENT = {
    "dataset": {"kind": "xor"},
    "model": {"layers": [{"units": 3, "activation": "tanh"}, {"units": 1}]},
    "loss": {"kind": "max_margin"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 5},
}


def training(**changes: object) -> str:
    return TRAINING.format(document=DOCUMENT | changes)


# To be completed when losses, schedules and data sets have one home each: the class to insert.
LOSS = Addition(edits=(), program=training(loss={"kind": "log_cosh"}))
SCHEDULE = Addition(
    edits=(),
    program=training(
        optimizer={"learning_rate": {"kind": "inverse_time", "start": 0.1, "decay": 0.01}}
    ),
)
DATASET = Addition(edits=(), program=training(dataset={"kind": "stripes"}))

ADDITIONS = {
    "an operation": OPERATION,
    "a loss": LOSS,
    "a schedule": SCHEDULE,
    "a data set": DATASET,
}


def paths(text: str) -> list[str]:
    """The files and folders that a text names, each from the root of the project."""
    return re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", text)


def table() -> dict[str, list[str]]:
    """The files to open, per thing that can be added."""
    _, section = PAGE.split("## To add X, open Y\n")
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return {thing: paths(files) for thing, files in rows[1:] if thing != "---"}


@pytest.mark.parametrize("path", sorted(set(paths(PAGE)) - PLANNED))
def test_what_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", sorted(PLANNED))
def test_what_is_only_planned_does_not_exist(path: str) -> None:
    assert path in PAGE
    assert not (ROOT / path).exists(), "remove it from PLANNED"


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_what_a_page_links_exists(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    assert links
    folder = (ROOT / page).parent
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_package_is_named() -> None:
    inits = [file for package in PACKAGES for file in (ROOT / package).rglob("__init__.py")]
    packages = {f"{file.parent.relative_to(ROOT)}/" for file in inits}
    assert packages - set(paths(PAGE)) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_at_the_top_of_a_package_is_named(package: str) -> None:
    (row,) = re.findall(rf"^\| `{package}/` \| (.+) \|$", PAGE, re.MULTILINE) or [""]
    modules = {file.stem for file in (ROOT / package).glob("[a-z]*.py")}
    assert modules - set(re.findall(r"`(\w+)`", row)) == set()


def test_the_table_names_a_file_for_each_thing() -> None:
    found = table()
    assert set(ADDITIONS) <= set(found)
    assert [thing for thing, files in found.items() if not files] == []


@pytest.mark.parametrize("thing", ADDITIONS)
def test_a_thing_is_added_in_exactly_the_files_of_the_table(thing: str, tmp_path: Path) -> None:
    addition = ADDITIONS[thing]
    if not addition.edits:
        pytest.skip(f"{thing} does not have one home yet")
    assert {edit.file for edit in addition.edits} == set(table()[thing])
    copy_engine(tmp_path)
    for edit in addition.edits:
        insert(tmp_path / edit.file, edit.before, edit.text)
    scalar, native = map(float, run(tmp_path, addition.program).split())
    assert native == pytest.approx(scalar, rel=1e-12)


def copy_engine(folder: Path) -> None:
    """The engine without compiled code."""
    ignored = shutil.ignore_patterns("*.pyc", "*.nbc", "*.nbi")
    shutil.copytree(ROOT / "engine", folder / "engine", ignore=ignored)


def insert(file: Path, before: str, text: str) -> None:
    lines = file.read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if line.startswith(before))
    file.write_text("".join([*lines[:place], text, *lines[place:]]))


def run(folder: Path, program: str) -> str:
    """The output of the program, run with the engine in `folder`."""
    check = f"import engine; assert engine.__file__.startswith({str(folder)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", check + program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
