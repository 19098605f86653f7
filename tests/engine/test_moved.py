"""Programs written for version 0.1 can still import the old names, and are told the new ones."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from engine import moved

OLD_NAMES = {
    "batches": "Batches",
    "data": "InvalidData load",
    "datasets": "Csv DatasetSpec Inline Moons",
    "draw": "draw_dot trace",
    "gradcheck": "check_model gradcheck",
    "losses": "binary_cross_entropy cross_entropy huber l1 l2 mae max_margin mse reduce",
    "nn": "MLP Layer Module Neuron build weight_limit",
    "optim": "SGD norm rates",
    "problem": "Problem Rows prepare",
    "program": "Op Program",
    "progress": "Diverged Executor HistoryRow Progress State",
    "record": "NotRecordable record",
    "schema": "problems",
    "spec": "ConstantRate LayerSpec",
    "stopping": "Patience",
    "table": "Table TableError parse_table",
    "train": "State",
    "value": "Value log_sum_exp softmax",
}


def fresh(statement: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs a statement in a process that has not imported anything yet."""
    command = [sys.executable, *options, "-c", statement]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", OLD_NAMES)
def test_old_names_import_and_warn(module: str) -> None:
    names = OLD_NAMES[module].replace(" ", ", ")
    run = fresh(f"from engine.{module} import {names}")
    assert run.returncode == 0, run.stderr
    assert f"DeprecationWarning: engine.{module}" in run.stderr
    refused = fresh(f"from engine.{module} import {names}", "-W", "error::DeprecationWarning")
    assert refused.returncode != 0


@pytest.mark.parametrize("old", moved.MOVED)
def test_every_old_module_has_a_new_place(old: str) -> None:
    sys.modules.pop(f"engine.{old}", None)
    with pytest.warns(DeprecationWarning, match=rf"engine\.{old} is now engine\."):
        import_module(f"engine.{old}")


def test_an_old_module_holds_the_same_objects() -> None:
    same = (
        "from engine import losses, Value; import engine.value, engine.spec.loss; "
        "assert engine.value.Value is Value; assert losses.mse is engine.spec.loss.mse"
    )
    assert fresh(same).returncode == 0


def test_the_warning_points_at_the_line_that_imports() -> None:
    assert (
        "<string>:2: DeprecationWarning" in fresh("import engine\nfrom engine import losses").stderr
    )


def test_new_names_do_not_warn() -> None:
    assert fresh("import engine.train, engine.data.loading, engine.native").stderr == ""


@pytest.mark.parametrize("statement", ["import engine.loses", "from engine.data import lode"])
def test_names_that_never_were_are_import_errors(statement: str) -> None:
    assert "Error" in fresh(statement).stderr.splitlines()[-1]
