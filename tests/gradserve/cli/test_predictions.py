"""The commands that use a trained network, and ids that are typed in part."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from gradserve.cli import options, output
from gradserve.cli.tables import evaluation_tables
from gradserve.client import Gradserve
from gradserve.types import Evaluation
from tests.gradserve.cli.test_main import Command, gradserve
from tests.gradserve.test_client import xor

__all__ = ["gradserve"]  # a fixture


@pytest.fixture(scope="module")
def id(service_url: str) -> str:
    with Gradserve(service_url) as client:
        spec = xor(training={"steps": 20, "validation_fraction": 0.25})
        return client.jobs.wait(client.jobs.create(spec)["id"], timeout=60)["id"]


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_of_a_file_are_predicted(
    gradserve: Command, service: Gradserve, id: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("y;x\n0,5;1\n0;0\n")
    done = gradserve("predict", id, str(file))
    assert done.exit_code == 0, done.stderr
    found = records(done.stdout)
    known = service.jobs.predict(id, [[1, 0.5], [0, 0]])
    assert [(one["class"], float(one["score"])) for one in found] == [
        (item["class"], item["score"]) for item in known["items"]
    ]
    as_json = gradserve("predict", id, "-", "--json", "--step", "3", input="x,y\n1,0.5\n")
    assert json.loads(as_json.stdout)["step"] == 3
    wrong = gradserve("predict", id, "-", input="x,z\n1,0.5\n")
    assert wrong.exit_code == 1
    assert "there is no column z; the columns are x, y" in wrong.stderr
    absent = gradserve("predict", id, str(tmp_path / "none.csv"))
    assert "none.csv: No such file" in absent.stderr
    step = gradserve("predict", id, str(file), "--step", "21")
    assert "from 0 to 20 are allowed" in step.stderr


def test_a_network_is_judged(gradserve: Command, service: Gradserve, id: str) -> None:
    shown = gradserve("evaluate", id).stdout
    assert re.search(r"accuracy +[0-9.]+ %", shown)
    assert "CLASS" in shown
    assert "TRUE \\ PREDICTED" in shown
    as_json = gradserve("evaluate", id, "--of", "training", "--step", "best", "--json")
    assert json.loads(as_json.stdout) == service.jobs.evaluate(id, of="training", step="best")


def test_a_regression_shows_its_residuals_in_eighty_columns() -> None:
    found: Evaluation = {
        "step": 1200,
        "of": "validation",
        "rows": 88,
        "loss": 0.5,
        "loss_unit": "σ²",
        "score_name": "R²",
        "score": 0.47,
        "classes": None,
        "confusion": None,
        "residuals": {
            "mean": -1.5,
            "standard_deviation": 53.25,
            "mean_absolute": 42.0,
            "min": None,
            "median": 0.125,
            "max": 120.0,
        },
        "links": {},
    }
    console = Console(width=80, record=True, file=io.StringIO())
    for table in evaluation_tables(found):
        console.print(table)
    text = console.export_text()
    assert re.search(r"R² +0\.4700", text)
    assert re.search(r"residual, mean absolute +42 ", text)
    assert re.search(r"residual, min +- ", text)
    assert re.search(r"rows +88 of validation", text)


def test_the_history_is_csv_in_a_pipe_and_a_table_on_a_terminal(
    gradserve: Command, service: Gradserve, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = records(gradserve("history", id).stdout)
    known = service.jobs.history(id)
    assert [float(row["loss"]) for row in whole] == [row["loss"] for row in known]
    assert records(gradserve("history", id, "--csv").stdout) == whole
    assert json.loads(gradserve("history", id, "--json").stdout) == known
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    header, *lines = gradserve("history", id).stdout.splitlines()
    assert header.split()[:2] == ["STEP", "LOSS"]
    assert len(lines) == 20


def test_a_part_of_an_id_is_enough_where_no_other_begins_so(
    gradserve: Command, service: Gradserve, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(gradserve("show", id[:20], "--json").stdout)["id"] == id
    assert json.loads(gradserve("show", id[4:20], "--json").stdout)["id"] == id
    none = gradserve("show", "job_ffffffffffffffffffff")
    assert "there is no job" in none.stderr
    assert "no job 'not-an-id'" in gradserve("show", "not-an-id").stderr
    ids = [job["id"] for job in service.list(limit=100)]
    while len(ids) < 17:  # then two of them begin with the same digit
        ids.append(service.submit(xor())["id"])
    digits = [found[4] for found in ids]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    assert "there is no job" in gradserve("show", twice).stderr  # sooner a slip than a choice
    monkeypatch.setattr(options, "PREFIX", re.compile("job_[0-9a-f]{1,23}"))
    several = gradserve("show", twice)
    assert several.exit_code == 1
    assert "several jobs begin with" in several.stderr
