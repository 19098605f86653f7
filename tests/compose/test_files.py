"""The checks of the container files that need no engine; `make compose-test` does the others."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs.settings import PAGE, with_table
from service.common.settings import RENAMED, Row, table
from service.store import api_keys

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()

# Made in the compose file itself, or fixed in the image.
NOT_PASSED_ON = {
    "GRADSERVE_DATA_DIR",
    "GRADSERVE_DATABASE_URL",
    "GRADSERVE_BROKER_URL",
    "GRADSERVE_HEARTBEAT_FILE",
    "GRADSERVE_FIRST_API_KEY",  # GRADSERVE_API_KEY in .env, as the client calls it
}
PASSED_ON = [row for row in table() if row.variable not in NOT_PASSED_ON]


def test_the_table_of_settings_is_current() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "run `make docs`"
    for row in table():
        assert f"| `{row.variable}` |" in page


@pytest.mark.parametrize("row", PASSED_ON, ids=lambda row: row.variable)
def test_every_setting_can_be_made_in_env(row: Row) -> None:
    assert f"{row.variable}: ${{{row.variable}:-}}\n" in COMPOSE
    default = re.search(rf"^#{row.variable}=(.*)$", EXAMPLE, re.MULTILINE)
    assert default is not None, f"{row.variable} is missing in .env.example"
    assert default[1] == row.default.removesuffix(".0")


def test_the_example_names_every_variable_of_the_compose_file() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE))
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert used - set(RENAMED) == named


def test_the_image_gets_what_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {"pyproject.toml", "uv.lock"}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == needed
    assert lines[1] == "*"


def test_a_worker_by_itself_is_told_what_the_compose_file_tells_its_own() -> None:
    found = re.search(r"docker run .*?(?=\n```)", PAGE.read_text(), re.DOTALL)
    assert found is not None
    run = shlex.split(found[0].replace("\\\n", " "))
    health = run[run.index("--health-cmd") + 1]
    assert f"test: [CMD, {', '.join(health.split())}]" in COMPOSE
    assert run[-4:-1] == ["gradserve:local", "worker", "--processes"]
    assert run[-1] == run[run.index("--cpus") + 1]
    assert f'tmpfs: ["{run[run.index("--tmpfs") + 1]}"]' in COMPOSE


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile and the example."""
    for name in ("Makefile", ".env.example"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make_env(folder: Path) -> tuple[str, dict[str, str]]:
    done = subprocess.run(
        ["make", "--no-print-directory", "env"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    written = re.findall(r"^(\w+)=(.*)$", (folder / ".env").read_text(), re.MULTILINE)
    return done.stdout, dict(written)


def test_make_env_writes_random_passwords_once(bare: Path) -> None:
    said, first = make_env(bare)
    again, second = make_env(bare)

    assert (said, again) == (
        "wrote .env with random passwords and a first API key\n",
        ".env exists already and is kept\n",
    )
    assert first == second
    second.clear()
    assert set(first) == {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRADSERVE_API_KEY"}
    assert api_keys.KEY.fullmatch(first.pop("GRADSERVE_API_KEY"))
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", password) for password in first.values())
    assert len(set(first.values())) == 2
    assert (bare / ".env").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("required", "word", "code"), [("", "skipped", 0), ("require", "failed", 1)]
)
def test_without_an_engine_the_test_says_so(required: str, word: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.compose"],
        cwd=ROOT,
        env=os.environ | {"PATH": "/nonexistent", "COMPOSE_TEST": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"compose-test {word}: there is no docker command\n"
    assert done.returncode == code
