"""`gradserve datasets`, and `gradserve submit` with a table, against the real service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gradserve.cli.first_network import first_job
from gradserve.cli.main import main
from gradserve.client import Gradserve

SHOP = "size;colour;price\n" + "".join(
    f"{i},5;{'red' if i % 2 else 'blue'};{3 * i}\n" for i in range(40)
)
Command = Callable[..., Result]


@pytest.fixture
def gradserve(service: Gradserve, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process, with the service."""
    monkeypatch.setenv("GRADSERVE_URL", service.url)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments, **how: CliRunner().invoke(main, arguments, **how)


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.csv"
    path.write_text(SHOP)
    return str(path)


def test_a_data_set_is_created_listed_shown_and_deleted(gradserve: Command, shop: str) -> None:
    made = gradserve("datasets", "create", shop)
    assert made.exit_code == 0, made.output
    for words in ("shop.csv", "40", "decimal comma", "price: 0 to 117", "blue (20), red (20)"):
        assert words in made.stdout, words
    (line,) = (
        line
        for line in gradserve("datasets", "list", "--limit", "1").stdout.splitlines()
        if line.startswith("ds_")
    )
    id = line.split()[0]
    shown = gradserve("datasets", "show", id, "--json")
    assert json.loads(shown.stdout)["columns"][1]["name"] == "colour"
    assert gradserve("datasets", "delete", id).stdout == f"{id} is deleted\n"
    gone = gradserve("datasets", "show", id)
    assert gone.exit_code == 1
    assert "there is no data set" in gone.output


def test_a_table_on_standard_input(gradserve: Command) -> None:
    options = ("--target", "0", "--ignore", "b", "--delimiter", "comma", "--json")
    made = gradserve(
        "datasets", "create", "-", "--name", "two", *options, input="a,b,c\n1,2,3\n4,5,6\n"
    )
    assert made.exit_code == 0, made.output
    found = json.loads(made.stdout)
    assert (found["name"], found["target"]["name"], found["ignored"]) == ("two", "a", ["b"])


def test_a_table_that_cannot_be_read_is_told_with_line_and_column(
    gradserve: Command, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("a,b,y\n1,2,3\n4,x,6\n7,8,9\n")
    refused = gradserve("datasets", "create", str(tmp_path / "bad.csv"))
    assert refused.exit_code == 1
    assert "line 3, column 2 (b)" in refused.output
    assert gradserve("datasets", "create", str(tmp_path / "no.csv")).exit_code == 1


def test_a_table_is_submitted_with_a_first_network_that_is_said(
    gradserve: Command, shop: str
) -> None:
    done = gradserve("submit", shop, "--watch", "--json")
    assert done.exit_code == 0, done.output
    job = json.loads(done.stdout)
    assert job["state"] == "succeeded"
    assert job["spec"]["dataset"]["kind"] == "stored"
    assert job["final"]["accuracy"] > 0.9, "R² of a line"
    assert "shop.csv is stored as ds_" in done.stderr
    assert "price as a number" in done.stderr
    classes = gradserve("submit", shop, "--target", "colour", "--json")
    assert classes.exit_code == 0, classes.output
    assert "2 classes of colour (blue, red)" in classes.stderr
    assert json.loads(classes.stdout)["spec"]["model"]["layers"][-1]["units"] == 2


def test_a_target_belongs_to_a_table(gradserve: Command, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    refused = gradserve("submit", str(tmp_path / "job.json"), "--target", "y")
    assert refused.exit_code == 2
    assert "dataset" in refused.output


def test_a_job_file_may_name_a_stored_data_set(
    gradserve: Command, service: Gradserve, shop: str, tmp_path: Path
) -> None:
    spec, _ = first_job(service.datasets.create(shop))
    (tmp_path / "job.json").write_text(json.dumps(spec))
    assert gradserve("submit", str(tmp_path / "job.json")).exit_code == 0
    spec["dataset"]["id"] = "ds_unknown"
    (tmp_path / "job.json").write_text(json.dumps(spec))
    refused = gradserve("submit", str(tmp_path / "job.json"))
    assert refused.exit_code == 1
    assert "/dataset/id: there is no data set" in refused.output


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        ({"type": "class", "classes": ["a", "b", "c"]}, 3),
        ({"type": "number", "classes": ["0", "1"]}, 2),
        ({"type": "number", "classes": [str(i) for i in range(21)]}, None),
        ({"type": "number", "classes": None}, None),
        ({"type": "number", "classes": ["5"]}, None),
    ],
)
def test_names_and_few_whole_numbers_are_classes(
    target: dict[str, Any], classes: int | None
) -> None:
    counted = target["classes"] and [{"name": name, "count": 50} for name in target["classes"]]
    dataset: Any = {
        "id": "ds_1",
        "name": None,
        "rows": 1000,
        "target": target | {"name": "y", "classes": counted},
    }
    spec, _ = first_job(dataset)
    assert spec["model"]["layers"][-1]["units"] == (classes or 1)
    assert spec["loss"]["kind"] == ("cross_entropy" if classes else "mse")
    assert spec["dataset"]["standardise_targets"] is (classes is None)
