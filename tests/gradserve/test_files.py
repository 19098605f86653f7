"""Files of a job: trained networks and pictures, by the client and by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gradserve.cli.main import main
from gradserve.client import Gradserve
from gradserve.errors import ClientError
from gradserve.files import write
from tests.engine.specs import SMALL


def trained(service: Gradserve) -> str:
    id: str = service.submit(SMALL)["id"]
    for _ in service.watch(id):
        pass
    return id


def test_networks_and_pictures_are_written_to_files(
    service: Gradserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    id = trained(service)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, [*arguments, "--url", service.url])
        assert result.exit_code == 0, result.output
        return result.output

    assert run("export", id, "net.py", "--step", "3") == "wrote net.py\n"
    assert f"# Job {id}, step 3, loss" in Path("net.py").read_text()
    run("export", id, "net.ONNX")
    assert b"gradserve" in Path("net.ONNX").read_bytes()
    run("export", id, "net.safetensors")
    assert json.loads(run("export", id, "net.json", "--json")) == {"file": "net.json"}
    document = json.loads(Path("net.json").read_text())
    assert document["layers"] == service.parameters(id)["layers"]

    for kind in ("loss", "boundary", "confusion", "weights", "graph"):
        assert run("plot", id, kind, "--theme", "dark") == f"wrote {kind}.svg\n"
        assert Path(f"{kind}.svg").read_text().startswith("<svg ")
    run("plot", id, "graph", "graph.json", "--row", "2")
    assert json.loads(Path("graph.json").read_text())["row"] == 2
    assert not list(tmp_path.glob("*.part"))

    copy: dict[str, Any] = SMALL | {
        "model": SMALL["model"] | {"init": {"kind": "given", "layers": document["layers"]}}
    }
    again = service.submit(copy)["id"]
    for _ in service.watch(again):
        pass
    assert service.parameters(again, step=0)["sha256"] == service.parameters(id)["sha256"]

    with pytest.raises(ClientError, match="loss has only theme"):
        service.jobs.plot(id, "loss", tmp_path / "x.svg", step=3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["export", "job_1", "net.pkl"], "must end with one of .safetensors, .onnx, .json, .py"),
        (["plot", "job_1", "loss", "loss.png"], "the name 'loss.png' must end with .svg"),
        (["plot", "job_1", "graph", "g.png"], "must end with .svg, .dot or .json"),
        (["plot", "job_1", "pie"], "'pie' is not one of 'loss', 'boundary'"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_first(
    arguments: list[str], sentence: str
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code != 0
    assert sentence in result.output


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"cannot write .*: No such file or directory"):
        write(tmp_path / "absent" / "net.json", b"")
