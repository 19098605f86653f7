"""`Gradserve.datasets` against the real service: from a file to a job that was trained on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradserve.client import Gradserve
from gradserve.errors import ClientError

FLOWERS = "long,wide,kind\n" + "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(30))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.csv"
    path.write_text(FLOWERS)
    return path


def test_a_file_is_uploaded_found_read_trained_on_and_deleted(
    service: Gradserve, file: Path
) -> None:
    made = service.datasets.create(str(file))
    assert (made["name"], made["rows"]) == ("flowers.csv", 30)
    assert [one["name"] for one in made["target"].get("classes") or ()] == ["a", "b"]
    assert service.datasets.retrieve(made["id"]) == made
    assert made["id"] in [one["id"] for one in service.datasets.list(name="flowers.csv")]
    rows = list(service.datasets.rows(made["id"], after_row=27))
    assert rows == [
        {"row": 28, "values": {"long": 28.0, "wide": 0.0}, "target": "a"},
        {"row": 29, "values": {"long": 29.0, "wide": 1.0}, "target": "b"},
    ]
    job = service.submit(
        {
            "dataset": {"kind": "stored", "id": made["id"], "standardise": True},
            "model": {"layers": [{"units": 2}]},
            "loss": {"kind": "cross_entropy"},
            "optimizer": {"learning_rate": 0.1},
            "training": {"steps": 20},
        }
    )
    *_, last = service.watch(job["id"])
    assert last["state"] == "succeeded", last["error"]
    service.datasets.delete(made["id"])
    with pytest.raises(ClientError, match="no data set") as caught:
        service.datasets.retrieve(made["id"])
    assert caught.value.status == 404


def test_what_is_said_about_a_table_reaches_the_service(service: Gradserve) -> None:
    made = service.datasets.create(
        b"a;b,c;y\n1,5;;2\n3;4;5\n6;7;8\n",
        name="gaps",
        target=0,
        header=True,
        delimiter=";",
        decimal=",",
        missing="drop",
        ignore=["b,c"],
    )
    assert (made["name"], made["target"]["name"]) == ("gaps", "a")
    assert [column["name"] for column in made["columns"]] == ["y"]
    assert made.get("ignored") == ["b,c"]
    moons = service.datasets.create({"kind": "moons", "n_samples": 20}, name="moons")
    assert (moons["kind"], moons["rows"]) == ("moons", 20)


def test_mistakes_are_told_with_their_places(service: Gradserve, file: Path) -> None:
    with pytest.raises(ClientError, match=r"Cannot read nothing\.csv"):
        service.datasets.create("nothing.csv")
    with pytest.raises(ClientError) as caught:
        service.datasets.create(file, target="height")
    assert [error.pointer for error in caught.value.errors] == ["/target"]
