"""The commands and the code of the README give the output that it shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.common import settings
from tests.gradserve.readme import README, ROOT, Block, blocks, matches

SEPARATOR = "--- next block ---"


def run(command: list[str], text: str) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(block: Block, printed: str) -> None:
    assert block.output is not None
    assert matches(block.output, printed), f"the page shows\n{block.output}\nnot\n{printed}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_session_works_when_pasted(service_url: str) -> None:
    shell = [block for block in blocks("Over HTTP") if block.language == "sh"]
    script = f"\necho; echo '{SEPARATOR}'\n".join(block.code for block in shell)
    printed = run(["bash"], script.replace("http://127.0.0.1:8000", service_url))
    outputs = printed.split(f"\n{SEPARATOR}\n")
    assert len(outputs) == len(shell) == 5
    for block, output in zip(shell, outputs, strict=True):
        check(block, output)


def test_the_engine_works_as_shown() -> None:
    (block,) = blocks("In a notebook")
    check(block, run([sys.executable, "-"], block.code))


def test_a_recorded_program_is_printed_as_shown() -> None:
    (block,) = blocks("Two executors, one graph")
    command = block.code.replace(".venv/bin/python", sys.executable)
    check(block, run(["bash"], command))


def test_the_command_and_the_client_work_as_shown(service_url: str) -> None:
    shell, python = blocks("From the command line and from Python")
    commands = shell.code.replace(".venv/bin/gradserve", f"{sys.executable} -m gradserve")
    listed = run(["bash", "-e"], f"export GRADSERVE_URL={service_url}\n{commands}")
    assert re.search(r"^job_\w+ +moons +succeeded +100/100 +0.0109784 ", listed, re.MULTILINE)
    check(
        python,
        run([sys.executable, "-"], python.code.replace("http://127.0.0.1:8000", service_url)),
    )


def test_the_variables_exist() -> None:
    known = {row.variable for row in settings.table()} | set(settings.CLIENT_NAMES)
    assert set(re.findall(r"GRADSERVE_[A-Z_]+", README)) <= known


def test_everything_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README)
    local = [link or image for link, image in links if not (link or image).startswith("http")]
    assert [path for path in local if not (ROOT / path).exists()] == []


def test_every_package_is_on_the_map() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    mapped = set(re.findall(r"^\| \[`(\w+)/`\]", README, re.MULTILINE))
    assert packages <= mapped


@pytest.mark.parametrize("target", ["demo", "test", "up", "lint"])
def test_make_has_what_the_page_names(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^make {target} ", run(["make", "--no-print-directory"], ""), re.MULTILINE)


def test_networks_and_pictures_are_taken_away_as_shown(service_url: str, tmp_path: Path) -> None:
    (block,) = blocks("Take it away")
    gradserve = f"{sys.executable} -m gradserve"
    begin = f"cd {tmp_path}\nexport GRADSERVE_URL={service_url}\n"
    begin += (
        f"id=$({gradserve} submit {ROOT}/examples/moons.json --watch | grep -o 'job_[0-9a-f]*')\n"
    )
    check(block, run(["bash", "-e"], begin + block.code.replace(".venv/bin/gradserve", gradserve)))
