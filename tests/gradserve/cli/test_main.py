"""The command `gradserve` with the real service: its output and its exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from gradserve.cli.main import main
from gradserve.cli.tables import jobs_table
from gradserve.client import Gradserve
from tests.processes import processor_seconds_of_children, until

EXAMPLES = Path(__file__).parents[3] / "examples"
GRADSERVE = [sys.executable, "-m", "gradserve"]

Command = Callable[..., Result]


@pytest.fixture
def gradserve(service: Gradserve, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process, with the service."""
    monkeypatch.setenv("GRADSERVE_URL", service.url)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments, **how: CliRunner().invoke(main, arguments, **how)


def job_file(folder: Path, **changes: Any) -> str:
    document = json.loads((EXAMPLES / "xor.json").read_text()) | changes
    file = folder / "job.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_help_is_there_at_once() -> None:
    times = []
    for _ in range(3):
        start = processor_seconds_of_children()
        done = subprocess.run([*GRADSERVE, "--help"], capture_output=True, text=True, check=True)
        times.append(processor_seconds_of_children() - start)
    assert {"up", "submit", "list", "show"} <= set(done.stdout.split())
    assert min(times) < 0.3


def test_help_loads_none_of_the_heavy_packages() -> None:
    code = "import sys, gradserve.cli.main; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"httpx", "pydantic", "rich", "numpy", "flask", "celery", "sqlalchemy", "service"}
    assert heavy.isdisjoint(loaded)


def test_the_commands_that_talk_to_a_service_do_not_load_one() -> None:
    modules = "client", "cli.main", "cli.progress", "cli.job_file", "cli.tables"
    code = "".join(f"import gradserve.{module}; " for module in modules)
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {"flask", "celery", "sqlalchemy", "service", "sklearn", "numba"}.isdisjoint(loaded)


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.startswith("gradserve 0.")


def test_submit_tells_the_id_of_the_job(gradserve: Command, service: Gradserve) -> None:
    result = gradserve("submit", str(EXAMPLES / "xor.json"))
    assert result.exit_code == 0
    assert service.get(result.stdout.split()[0])["name"] == "xor"


def test_submit_reads_standard_input(gradserve: Command) -> None:
    result = gradserve("submit", "-", input=(EXAMPLES / "xor.json").read_text())
    assert result.exit_code == 0
    assert result.stdout.startswith("job_")


def test_watching_ends_with_the_result(gradserve: Command) -> None:
    result = gradserve("submit", str(EXAMPLES / "xor.json"), "--watch")
    assert result.exit_code == 0
    assert "succeeded  step 200/200" in result.stderr
    assert "succeeded in " in result.stdout
    assert "accuracy 100.0 %" in result.stdout


def test_watching_a_job_that_fails_ends_with_the_reason(gradserve: Command, tmp_path: Path) -> None:
    file = job_file(tmp_path, loss={"kind": "mse"}, optimizer={"learning_rate": 1e5})
    result = gradserve("submit", file, "--watch")
    assert result.exit_code == 1
    assert "Error: job_" in result.stderr
    assert "failed (diverged): " in result.stderr
    assert result.stdout == ""


def test_json_is_all_that_standard_output_gets(gradserve: Command) -> None:
    result = gradserve("submit", str(EXAMPLES / "xor.json"), "--watch", "--json")
    job = json.loads(result.stdout)
    assert job["state"] == "succeeded"
    assert json.loads(gradserve("show", job["id"], "--json").stdout)["id"] == job["id"]
    listed = json.loads(gradserve("list", "--limit", "100", "--json").stdout)
    assert job["id"] in [item["id"] for item in listed]


def test_a_file_with_a_mistake_is_not_sent(
    gradserve: Command, tmp_path: Path, service: Gradserve
) -> None:
    file = job_file(tmp_path, name="never sent", training={"steps": 0})
    result = gradserve("submit", file)
    assert result.exit_code == 1
    assert f"Error: {file} is not a valid job\n  /training/steps: " in result.stderr
    assert service.list(name="never sent") == []


def test_the_list_shows_a_line_for_each_job(gradserve: Command, tmp_path: Path) -> None:
    id = gradserve("submit", job_file(tmp_path, name="[a] name"), "--watch").stdout.split()[0]
    header, line = gradserve("list", "--name", "[a] name").stdout.splitlines()
    assert header.split() == ["ID", "NAME", "STATE", "STEP", "LOSS", "SCORE", "CREATED"]
    assert line.split()[:6] == [id, "[a]", "name", "succeeded", "200/200", "0"]


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (40, ["ID", "STATE"]),
        (60, ["ID", "STATE", "STEP"]),
        (80, ["ID", "NAME", "STATE", "STEP", "LOSS"]),
        (120, ["ID", "NAME", "STATE", "STEP", "LOSS", "SCORE", "CREATED"]),
    ],
)
def test_a_narrow_list_has_fewer_columns_but_whole_ones(
    gradserve: Command, service: Gradserve, width: int, titles: list[str]
) -> None:
    id = gradserve("submit", str(EXAMPLES / "xor.json"), "--watch").stdout.split()[0]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(jobs_table([service.get(id)], width))
    header, line = console.export_text().splitlines()
    assert header.split() == titles
    assert line.split()[0] == id
    assert "succeeded" in line.split()


def test_the_list_can_be_of_one_state(gradserve: Command) -> None:
    assert "succeeded" not in gradserve("list", "--state", "failed").stdout
    assert gradserve("list", "--state", "finished").exit_code == 2


def test_an_empty_list_says_so(gradserve: Command) -> None:
    result = gradserve("list", "--name", "no such name")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No jobs.\n")


def test_show_tells_everything_about_a_job(gradserve: Command) -> None:
    id = gradserve("submit", str(EXAMPLES / "regression.json"), "--watch").stdout.split()[0]
    shown = gradserve("show", id).stdout
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.splitlines()}
    assert lines["id"] == id
    assert lines["state"] == "succeeded"
    assert lines["step"] == "600 of 600"
    last_logged = re.search(r"loss [\d.e-]+, R² ([\d.]+)", shown)
    assert last_logged is not None
    assert float(last_logged[1]) > 0.98
    assert lines["layers"] == "8 tanh → 1 linear"


MARKUP = "[/s] [b] [red]x[/red] [link=x]"


def csv_job(folder: Path, rows: int) -> str:
    """A job whose column and name read like rich's markup."""
    lines = [f"a,{MARKUP}", *(f"{row},{row % 2}" for row in range(rows))]
    dataset = {"kind": "csv", "text": "\n".join(lines), "target": MARKUP}
    model = {"layers": [{"units": 1}]}
    return job_file(folder, name=MARKUP, dataset=dataset, model=model, loss={"kind": "mse"})


def test_show_leaves_out_the_text_of_a_table(gradserve: Command, tmp_path: Path) -> None:
    id = gradserve("submit", csv_job(tmp_path, 1000)).stdout.split()[0]
    shown = gradserve("show", id)
    assert shown.exit_code == 0
    assert " csv (" in shown.stdout
    assert "header True" in shown.stdout
    assert "999,1" not in shown.stdout


def test_square_brackets_are_shown_as_they_are(gradserve: Command, tmp_path: Path) -> None:
    id = gradserve("submit", csv_job(tmp_path, 4)).stdout.split()[0]
    shown = {line.split()[0]: line for line in gradserve("show", id).stdout.splitlines()}
    assert MARKUP in shown["name"]
    assert f"target {MARKUP}" in shown["data"]
    assert MARKUP in gradserve("list", "--name", MARKUP).stdout


def test_controls_in_a_name_are_shown_not_obeyed(gradserve: Command, tmp_path: Path) -> None:
    name = "\x1b]0;a\x07\x9b2J\u202eé"
    id = gradserve("submit", job_file(tmp_path, name=name)).stdout.split()[0]
    escaped = "\\x1b]0;a\\x07\\x9b2J\\u202eé"
    assert escaped in gradserve("list", "--name", name).stdout
    assert escaped in gradserve("show", id).stdout
    shown = gradserve("show", id, "--json").stdout
    assert json.loads(shown)["name"] == name
    assert shown.isascii()


def test_a_name_that_the_output_cannot_encode_is_escaped(
    gradserve: Command, tmp_path: Path
) -> None:
    id = gradserve("submit", job_file(tmp_path, name="Prüfung 训")).stdout.split()[0]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    for command in (["list"], ["show", id]):
        done = subprocess.run(
            [*GRADSERVE, *command],
            env=os.environ | ascii_only,
            capture_output=True,
            encoding="ascii",
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert r"Pr\xfcfung \u8bad" in done.stdout


def test_show_tells_why_a_job_failed(gradserve: Command, tmp_path: Path) -> None:
    file = job_file(tmp_path, loss={"kind": "mse"}, optimizer={"learning_rate": 1e5})
    id = json.loads(gradserve("submit", file, "--watch", "--json").stdout)["id"]
    assert "failed (diverged): " in gradserve("show", id).stdout


def test_an_unknown_job_is_one_sentence(gradserve: Command) -> None:
    result = gradserve("show", "job_0")
    assert (result.exit_code, result.stderr) == (1, "Error: there is no job 'job_0'\n")


@pytest.mark.parametrize("arguments", [["list"], ["show", "x"]])
def test_no_service_is_one_sentence(arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    result = CliRunner().invoke(main, [*arguments, "--url", url])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: Cannot reach {url}: Connection refused")
    assert len(result.stderr.splitlines()) == 1


def test_ctrl_c_stops_watching_but_not_the_job(
    gradserve: Command, tmp_path: Path, service: Gradserve
) -> None:
    file = job_file(tmp_path, name="continues", training={"steps": 100_000_000})
    process = subprocess.Popen(
        [*GRADSERVE, "submit", file, "--watch"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    id = process.stderr.readline().split()[0]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"`gradserve show {id}`" in errors
    assert "Traceback" not in errors
    assert not service.get(id)["terminal"]
    assert gradserve("cancel", id).stdout.startswith(f"{id} is cancel")
    *_, job = service.watch(id)
    assert job["state"] == "cancelled"


def test_a_job_can_be_paused_and_resumed_and_cancelled(gradserve: Command, tmp_path: Path) -> None:
    id = gradserve("submit", job_file(tmp_path, training={"steps": 100_000_000})).stdout.split()[0]
    assert gradserve("pause", id).stdout.split()[-1] in ("pausing", "paused")
    assert gradserve("resume", id).stdout.split()[-1] in ("queued", "running")
    assert gradserve("cancel", id).stdout.split()[-1] in ("cancelling", "cancelled")


def test_a_job_that_has_ended_can_be_deleted(gradserve: Command, tmp_path: Path) -> None:
    id = gradserve("submit", job_file(tmp_path, training={"steps": 100_000_000})).stdout.split()[0]
    refused = gradserve("delete", id)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "cancel it first" in refused.stderr
    gradserve("cancel", id)
    deleted = until(lambda: gradserve("delete", id).stdout, 20)
    assert deleted == f"{id} is deleted\n"
    assert "there is no job" in gradserve("show", id).stderr


def test_up_ends_with_one_sentence_where_the_port_is_taken(
    tmp_path: Path, service_url: str
) -> None:
    port = service_url.rpartition(":")[2]
    done = subprocess.run(
        [*GRADSERVE, "up", "--port", port, "--data-dir", str(tmp_path)],
        # The client's own variable is not a setting of the service, and is not refused.
        env={"GRADSERVE_URL": service_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert port in done.stderr
