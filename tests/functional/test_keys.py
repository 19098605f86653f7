"""Keys on the command line: made, stored, used, revoked, as people type it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gradserve.cli.keys import SCOPES
from service.store import api_keys
from tests.functional.conftest import GRADSERVE, Start, Up
from tests.functional.test_refusals import Refusal, refusal  # noqa: F401

KEY = f"gs_{'12' * 4}_{'ab' * 32}"


class Shell:
    """Runs `gradserve`, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": ""}

    def run(
        self, *arguments: str, input: str | None = None, **environ: str
    ) -> tuple[int, str, str]:
        done = subprocess.run(
            [GRADSERVE, *arguments],
            cwd=self.folder,
            env=os.environ | self.environ | environ,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def create(self, *arguments: str) -> str:
        code, out, err = self.run("keys", "create", *arguments)
        assert code == 0, err
        assert "cannot be shown again" in err
        return out.strip()

    def listed(self) -> list[Mapping[str, str]]:
        code, out, _ = self.run("keys", "list", "--json")
        assert code == 0
        found: list[Mapping[str, str]] = json.loads(out)
        return found


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def up(start: Start, shell: Shell) -> tuple[Up, str]:
    """A service that wants keys, and one of ada's."""
    key = shell.create("ada")
    return start(GRADSERVE_AUTH="keys").wait_until_up(), key


def test_a_person_logs_in_and_sees_only_their_jobs(up: tuple[Up, str], shell: Shell) -> None:
    service, key = up
    url = str(service.http.base_url)
    assert "requests need an API key" in service.out
    code, _, err = shell.run("list", "--url", url)
    assert code == 1
    assert "needs a key" in err

    code, out, err = shell.run("login", "--url", url, input=f"{key}\n")
    assert code == 0, err
    stored = shell.folder / "home/.config/gradserve/keys.json"
    assert str(stored) in out
    assert stored.stat().st_mode & 0o777 == 0o600
    code, _, err = shell.run("list", "--url", url)
    assert (code, err) == (0, "No jobs.\n")

    prefix = key.split("_")[1]
    [listed] = shell.listed()
    assert (listed["prefix"], listed["owner"], listed["scopes"]) == (prefix, "ada", "read write")
    assert listed["last_used_at"] is not None
    assert shell.run("keys", "revoke", prefix)[:2] == (0, f"{prefix} is revoked\n")
    code, _, err = shell.run("list", "--url", url)
    assert code == 1
    assert "unknown, expired or revoked" in err
    code, _, err = shell.run("login", "--url", url, input=f"{key}\n")
    assert code == 1, "a revoked key is not stored"
    secret = key.rpartition("_")[2]
    for path in shell.folder.rglob("var/**/*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_beyond_this_machine_nobody_starts_without_a_key(refusal: Refusal) -> None:  # noqa: F811
    sentence = refusal("--host", "0.0.0.0")

    assert "there is none yet" in sentence
    assert "`gradserve keys create NAME`" in sentence


def test_the_first_key_may_come_from_a_setting_and_goes_no_further(
    start: Start, shell: Shell
) -> None:
    up = start(GRADSERVE_AUTH="keys", GRADSERVE_FIRST_API_KEY=KEY).wait_until_up()
    assert up.http.get("/v1/jobs").status_code == 401
    answer = up.http.get("/v1/jobs", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200
    api = Path(f"/proc/{up.part('api')}/environ").read_bytes()
    assert KEY.encode() not in api
    assert [key["name"] for key in shell.listed()] == ["first key"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("keys", "create", "a/b"), "the owner 'a/b' must have 1 to 100 letters"),
        (("keys", "create", "ada", "--scope", "all"), "'all' is not one of"),
        (("keys", "create", "ada", "--days", "0"), "0 is not in the range"),
        (("keys", "revoke", "12345678"), "there is no key '12345678'"),
        (("keys", "revoke", "%"), "there is no key '%'"),
        (("keys", "list", "--data-dir", "/proc/gradserve"), "the data folder /proc/gradserve"),
    ],
)
def test_what_is_wrong_is_said(shell: Shell, arguments: tuple[str, ...], sentence: str) -> None:
    code, _, err = shell.run(*arguments)
    assert code != 0
    assert sentence in err
    assert "Traceback" not in err


def test_a_key_is_not_sent_over_plain_http_to_another_machine(shell: Shell) -> None:
    arguments = ("list", "--url", "http://192.0.2.1:8000")
    code, _, err = shell.run(*arguments, GRADSERVE_API_KEY=KEY)
    assert code == 1
    assert "is not sent to http://192.0.2.1:8000" in err
    assert KEY not in err


def test_a_file_of_keys_that_is_broken_is_named(shell: Shell) -> None:
    path = shell.folder / "home/.config/gradserve/keys.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    code, _, err = shell.run("list")
    assert code == 1
    assert str(path) in err


def test_the_command_offers_the_scopes_that_there_are() -> None:
    assert SCOPES == api_keys.SCOPES
