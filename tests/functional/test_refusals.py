"""`gradserve up` when it cannot start: one sentence, an exit code, and nothing left behind."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from service.common.settings import Settings
from service.store.migrate import upgrade
from tests.functional.conftest import GRADSERVE, Start
from tests.processes import running_in

Refusal = Callable[..., str]

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    """Runs `gradserve up` and returns its sentence."""

    def refusal(*options: str, before: Callable[[], None] | None = None, **environ: str) -> str:
        done = subprocess.run(
            [GRADSERVE, "up", "--port", "0", *options],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            preexec_fn=before,
        )
        assert done.returncode != 0
        assert done.stdout == ""
        (sentence,) = done.stderr.splitlines()
        assert sentence.startswith("gradserve: ")
        assert not running_in(tmp_path)
        return sentence

    return refusal


def test_a_port_in_use(refusal: Refusal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refusal("--port", str(port))

    assert f"port {port} on 127.0.0.1 is in use" in sentence
    assert "--port" in sentence


def test_an_address_of_another_machine(refusal: Refusal) -> None:
    sentence = refusal("--host", "192.0.2.1")
    assert "cannot listen on 192.0.2.1 port 0 (Cannot assign requested address): " in sentence


def test_a_host_that_does_not_exist(refusal: Refusal) -> None:
    assert "cannot listen on nowhere.invalid" in refusal("--host", "nowhere.invalid")


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_host_that_cannot_exist(refusal: Refusal, host: str) -> None:
    assert f"cannot listen on {host}" in refusal("--host", host)


def test_a_file_in_place_of_the_folder(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")

    sentence = refusal()

    assert "the data folder var cannot be written" in sentence
    assert "--data-dir" in sentence


def heed_modes() -> None:
    """Makes the following program respect file modes, even if root runs it."""
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0


def take_no_byte() -> None:
    """Makes every write to a file fail, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_a_folder_that_is_not_writable(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o500)

    assert "cannot be written (Permission denied)" in refusal(before=heed_modes)


def test_a_database_that_is_not_writable(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    database = tmp_path / "var" / "gradserve.db"
    database.touch(mode=0o400)

    assert "readonly database" in refusal(before=heed_modes)


def test_a_disk_without_room(refusal: Refusal) -> None:
    assert "the data folder var cannot be written" in refusal(before=take_no_byte)


def test_a_folder_without_a_name(refusal: Refusal) -> None:
    assert "--data-dir" in refusal("--data-dir", "")


def test_a_folder_on_a_file_system_that_takes_nothing(refusal: Refusal) -> None:
    assert "cannot be written" in refusal("--data-dir", "/proc/gradserve")


def test_a_folder_by_its_variable(refusal: Refusal) -> None:
    sentence = refusal(GRADSERVE_DATA_DIR="/proc/gradserve")

    assert "the data folder /proc/gradserve cannot be written" in sentence


def test_a_folder_by_its_option_rather_than_by_its_variable(
    refusal: Refusal, tmp_path: Path
) -> None:
    sentence = refusal("--data-dir", "/proc/option", GRADSERVE_DATA_DIR=str(tmp_path / "variable"))

    assert "the data folder /proc/option cannot be written" in sentence
    assert not (tmp_path / "variable").exists()


def test_a_log_that_cannot_be_written(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "var" / "logs" / "worker.log").mkdir(parents=True)

    assert "the worker cannot be started: " in refusal()


def test_a_database_of_a_newer_version(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    database = tmp_path / "var" / "gradserve.db"
    upgrade(Settings(database_url=f"sqlite:///{database}"))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    sentence = refusal()

    assert "schema revision 9999" in sentence
    assert "upgrade gradserve" in sentence


def test_a_file_that_is_not_a_database(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "gradserve.db").write_bytes(b"not a database" * 100)

    assert "database cannot be used: file is not a database" in refusal()


def test_a_broker_that_does_not_answer(refusal: Refusal, tmp_path: Path) -> None:
    sentence = refusal(GRADSERVE_BROKER_URL=f"redis+socket://{tmp_path}/nobody.sock")

    assert "GRADSERVE_BROKER_URL does not answer" in sentence


def test_a_broker_that_is_frozen(refusal: Refusal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sentence = refusal(GRADSERVE_BROKER_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")

    assert "GRADSERVE_BROKER_URL does not answer" in sentence


def test_a_database_that_does_not_answer(refusal: Refusal, tmp_path: Path) -> None:
    sentence = refusal(GRADSERVE_DATABASE_URL=f"postgresql://nobody@/none?host={tmp_path}")

    assert "the database cannot be used" in sentence


def test_a_database_of_the_broker_that_is_not_a_number(refusal: Refusal) -> None:
    assert "GRADSERVE_BROKER_URL" in refusal(GRADSERVE_BROKER_URL="redis://127.0.0.1:1/abc")


def test_a_wrong_setting(refusal: Refusal) -> None:
    assert "GRADSERVE_LEASE_SECONDS" in refusal(GRADSERVE_LEASE_SECONDS="soon")


def test_an_unknown_setting(refusal: Refusal) -> None:
    assert "GRADSERVE_LEASE_SECOND" in refusal(GRADSERVE_LEASE_SECOND="5")


def test_a_second_one_on_the_same_folder(refusal: Refusal, start: Start) -> None:
    up = start().wait_until_up()

    done = subprocess.run(
        [GRADSERVE, "up", "--port", "0", "--data-dir", up.data],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert f"another `gradserve up` (process {up.process.pid}) already runs" in sentence
    assert up.http.get("/readyz").status_code == 200
