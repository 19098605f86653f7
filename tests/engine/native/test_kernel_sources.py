"""The kernel cache: its fingerprint covers every file that compiled code depends on."""

from __future__ import annotations

import ast
from pathlib import Path

from engine.native.kernel_cache import SOURCES

ROOT = Path(__file__).parents[3]
TYPES_ONLY = {Path("engine/arrays.py")}


def imported(module: Path) -> set[Path]:
    """The files of the engine from which a file imports."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("engine"):
            assert node.module is not None
            folder = ROOT.joinpath(*node.module.split("."))
            names = [
                folder.with_suffix(".py"),
                *(folder / f"{each.name}.py" for each in node.names),
            ]
            found |= {path for path in names if path.exists()}
    return found


def test_every_file_that_kernels_are_made_of_is_hashed() -> None:
    native = ROOT / "engine" / "native"
    waiting = {native / "training_loop.py", native / "kernels" / "batch.py"}
    needed: set[Path] = set()
    while waiting:
        module = waiting.pop()
        needed.add(module)
        waiting |= imported(module) - needed
    hashed = {path.relative_to(ROOT) for path in SOURCES}
    assert len(needed) > 20
    assert {path.relative_to(ROOT) for path in needed} - TYPES_ONLY <= hashed


def test_the_compiler_knows_only_values_and_arrays() -> None:
    for module in (ROOT / "engine" / "compiler").glob("*.py"):
        for path in imported(module):
            folder = path.relative_to(ROOT).parts[1]
            assert folder in ("arrays.py", "autograd", "compiler"), f"{module.name} imports {path}"
