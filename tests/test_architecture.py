"""docs/architecture.md is true: its files exist, and things are added where it says."""

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


LOSS = Addition(
    edits=(
        Edit(
            "engine/spec/loss.py",
            "class MaxMargin(",
            "class LogCosh(Regression):\n"
            '    """log cosh(output - target)."""\n\n'
            '    kind: Literal["log_cosh"]\n\n'
            "    @staticmethod\n"
            "    def formula(outputs: Sequence[Value], targets: Sequence[Target]) -> Value:\n"
            "        (output,), (target,) = outputs, targets\n"
            "        distance = output - target\n"
            "        return (distance.exp() + (-distance).exp()).log()\n\n\n",
        ),
    ),
    program=training(loss={"kind": "log_cosh"}),
)
SCHEDULE = Addition(
    edits=(
        Edit(
            "engine/spec/schedules.py",
            "class CosineRate(",
            "class InverseTimeRate(Schedule):\n"
            '    """start/(1 + decay·k) at step k."""\n\n'
            '    kind: Literal["inverse_time"]\n'
            "    start: Rate\n"
            "    decay: float = Field(gt=0, le=1)\n\n"
            "    def rate(self, step: int, steps: int) -> float:\n"
            "        return self.start / (1.0 + self.decay * step)\n\n\n",
        ),
    ),
    program=training(
        optimizer={"learning_rate": {"kind": "inverse_time", "start": 0.1, "decay": 0.01}}
    ),
)
DATASET = Addition(
    edits=(
        Edit(
            "engine/spec/datasets/playground.py",
            "class Spiral(",
            "class Stripes(Generated):\n"
            '    """Points in the square [-1, 1]²; class 1 where sin(4x) is above 0."""\n\n'
            '    kind: Literal["stripes"]\n\n'
            "    def make(self) -> tuple[Array, Array]:\n"
            "        import numpy as np\n\n"
            "        rng = np.random.RandomState(self.seed)\n"
            "        x = rng.uniform(-1.0, 1.0, (self.n_samples, 2))\n"
            "        return x, (np.sin(4.0 * x[:, 0]) > 0.0).astype(float)\n\n\n",
        ),
    ),
    program=training(dataset={"kind": "stripes"}),
)

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


@pytest.mark.parametrize("path", sorted(set(paths(PAGE))))
def test_what_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_each_lock_is_where_the_page_says() -> None:
    locks = re.findall(r"^\| [\w ]+ \| `([\w/]+\.py)`, `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(locks) == 5
    for path, name in locks:
        code = (ROOT / path).read_text()
        assert re.search(rf"^ *(def|class) {name}\b|^{name} = ", code, re.MULTILINE), (path, name)


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


@pytest.mark.parametrize(
    "thing",
    [
        # It compiles all kernels again; the data set and the loss do not.
        pytest.param(thing, marks=pytest.mark.long) if thing == "an operation" else thing
        for thing in ADDITIONS
    ],
)
def test_a_thing_is_added_in_exactly_the_files_of_the_table(thing: str, tmp_path: Path) -> None:
    addition = ADDITIONS[thing]
    assert {edit.file for edit in addition.edits} == set(table()[thing])
    copy_engine(tmp_path)
    for edit in addition.edits:
        insert(tmp_path / edit.file, edit.before, edit.text)
    scalar, native = map(float, run(tmp_path, addition.program).split())
    assert native == pytest.approx(scalar, rel=1e-12)


def test_a_forgotten_native_pair_is_named_with_its_file(tmp_path: Path) -> None:
    copy_engine(tmp_path)
    for edit in OPERATION.edits:
        if edit.file != "engine/native/kernels/rules.py":
            insert(tmp_path / edit.file, edit.before, edit.text)
    done = execute(tmp_path, OPERATION.program)
    assert "engine/native/kernels/rules.py has no reciprocal and no reciprocal_rule" in done.stderr


def copy_engine(folder: Path) -> None:
    """The engine, with its compiled kernels: only an operation makes them out of date."""
    ignored = shutil.ignore_patterns("*.pyc")
    shutil.copytree(ROOT / "engine", folder / "engine", ignore=ignored)


def insert(file: Path, before: str, text: str) -> None:
    lines = file.read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if line.startswith(before))
    file.write_text("".join([*lines[:place], text, *lines[place:]]))


def run(folder: Path, program: str) -> str:
    """The output of the program, run with the engine in `folder`."""
    done = execute(folder, program)
    assert done.returncode == 0, done.stderr
    return done.stdout


def execute(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    check = f"import engine; assert engine.__file__.startswith({str(folder)!r})\n"
    return subprocess.run(
        [sys.executable, "-c", check + program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
