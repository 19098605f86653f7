"""The whole service from one command: the parent process of `gradserve up`.

It migrates the database, starts a private Valkey, the API (gunicorn), one Celery worker for jobs
and one for answers that take time, and the recovery, keeps them running and stops them.
GRADSERVE_DATABASE_URL and GRADSERVE_BROKER_URL replace the embedded SQLite file and the private
Valkey, each on its own.

The parent binds the API's port itself and passes the socket on: a port in use is known before
anything starts, and while the API restarts its callers wait instead of being refused.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url

from service.common.addresses import is_loopback, listed
from service.common.errors import GradserveError
from service.common.messages import make_publisher, waiting
from service.common.processes import usable_cores
from service.common.settings import Settings
from service.run import keys, programs
from service.run.data_folder import DataFolder, open_folder
from service.run.presence import Presence
from service.run.sockets import StartFailed, listen, public_url, reachable
from service.run.supervisor import Supervisor
from service.run.watchdog import Watchdog
from service.store import migrate

READY_SECONDS = 60.0
# How often the parent looks at its files: logs that grow, a data folder that is gone.
LOOK_SECONDS = 1.0
AUTH_WORDS = {
    "off": "open to whoever reaches it",
    "keys": "requests need an API key",
    "proxy": "users named by the trusted proxy",
}


def run(host: str, port: int, data_dir: str | Path, workers: int | None = None) -> int:
    """Runs the service until SIGTERM or Ctrl-C. Call it in the main thread.

    Args:
        host, port: where the API listens; port 0 takes a free one.
        data_dir: folder of the database, the logs and the broker's socket; created when missing.
        workers: number of jobs trained at the same time, one per core when None.

    Returns:
        The exit code: 0 after a requested stop, 1 after one sentence on stderr.
    """
    try:
        if not str(data_dir):
            raise StartFailed("the data folder has no name: choose one with --data-dir")
        _run(host, port, Path(data_dir), workers or usable_cores())
    except GradserveError as error:
        print(f"gradserve: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _run(host: str, port: int, data_dir: Path, workers: int) -> None:
    settings = settings_of(data_dir)
    own_broker = not os.environ.get("GRADSERVE_BROKER_URL")
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(open_folder(data_dir))
        listener = cleanup.enter_context(listen(host, port))
        settings = replace(
            settings,
            allowed_hosts=_allowed_hosts(settings, host, listener),
            auth=auth_mode(settings, listener),
        )
        if own_broker:
            settings = replace(
                settings, broker_url=f"redis+socket://{quote(str(folder.broker_socket))}"
            )
        elif waiting(make_publisher(settings)) is None:
            raise StartFailed(
                "the broker of GRADSERVE_BROKER_URL does not answer: start it, correct the "
                "address, or unset the variable to use the embedded one"
            )
        watchdog = Watchdog(keep_fds=[folder.lock_fd])
        cleanup.callback(watchdog.close)
        for path in folder.leftovers:
            watchdog.remove_at_end(path)
        supervisor = Supervisor(
            env=_child_env(settings),
            cwd=folder.path,
            log_dir=folder.logs,
            watchdog=watchdog,
            say=lambda text: print(f"gradserve: {text}", file=sys.stderr, flush=True),
        )
        cleanup.callback(supervisor.close)
        cleanup.callback(supervisor.stop)
        # Runs first at the end: callers are refused and do not wait for an API that stops.
        cleanup.callback(listener.close)

        if own_broker:
            supervisor.start(programs.broker(folder))
        migrate.upgrade(settings)
        presence = _presence(folder, settings)
        keys.store_first(settings)
        if settings.auth == "keys" and keys.are_missing(settings):
            raise StartFailed(f"{keys.NO_KEY} (with --data-dir {data_dir})")
        if own_broker:
            _await_broker(supervisor, folder.broker_socket)
        if not supervisor.stopping:
            supervisor.start(programs.api(listener, settings.trusted_proxies))
            supervisor.start(programs.worker(workers))
        _await_api(supervisor, listener)
        if not supervisor.stopping:
            # Last, so that their start does not delay the parts that a person waits for.
            supervisor.start(programs.interactive())
            supervisor.start(programs.recovery())
            url = public_url(listener)
            print(
                f"gradserve is up at {url} (docs at {url}/docs), {AUTH_WORDS[settings.auth]}, "
                f"data in {data_dir}, Ctrl-C stops it",
                flush=True,
            )
        supervisor.begin()
        while not supervisor.stopping:
            presence.check()
            supervisor.look_after()
            supervisor.wait(LOOK_SECONDS)


def settings_of(data_dir: Path) -> Settings:
    """The environment's settings, with the embedded parts where it names no others.

    Paths become absolute, because the children run in the data folder: a folder named
    `worker` where `gradserve up` was typed would otherwise hide our package from them.
    """
    environ = dict(os.environ) | {"GRADSERVE_DATA_DIR": str(data_dir.resolve())}
    if not environ.get("GRADSERVE_DATABASE_URL"):
        database = URL.create("sqlite", database=str(data_dir.resolve() / "gradserve.db"))
        environ["GRADSERVE_DATABASE_URL"] = database.render_as_string(hide_password=False)
    settings = Settings.from_env(environ)
    url = make_url(settings.database_url)
    if settings.sqlite_file is not None:
        url = url.set(database=str(settings.sqlite_file.resolve()))
    return replace(settings, database_url=url.render_as_string(hide_password=False))


def _presence(folder: DataFolder, settings: Settings) -> Presence:
    name = f"the data folder {folder.path}"
    files = {folder.lock: name}
    file = settings.sqlite_file
    if file is not None:
        files[file] = name if file == folder.database else f"the file {file}"
    return Presence(files)


def auth_mode(settings: Settings, listener: socket.socket) -> str:
    """The setting, where `auto` means keys unless only this machine can reach the service."""
    if settings.auth != "auto":
        return settings.auth
    return "off" if is_loopback(listener.getsockname()[0]) else "keys"


def _child_env(settings: Settings) -> dict[str, str]:
    return dict(os.environ) | {
        "GRADSERVE_DATA_DIR": settings.data_dir,
        "GRADSERVE_DATABASE_URL": settings.database_url,
        "GRADSERVE_BROKER_URL": settings.broker_url,
        "GRADSERVE_AUTH": settings.auth,
        # Only the parent stores it: no other process need know it.
        "GRADSERVE_FIRST_API_KEY": "",
        "GRADSERVE_ALLOWED_HOSTS": settings.allowed_hosts,
    }


def _allowed_hosts(settings: Settings, host: str, listener: socket.socket) -> str:
    """Those of the settings, the host that was typed and the one that is printed."""
    own = {host, reachable(listener)[0]}
    # An address of one link ends in the name of its interface, which no Host header has.
    return ",".join([*listed(settings.allowed_hosts), *(name.partition("%")[0] for name in own)])


def _await_broker(supervisor: Supervisor, path: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not supervisor.stopping and not _answers(path):
        if time.monotonic() > deadline:
            raise StartFailed(f"the broker does not listen on {path} after {READY_SECONDS:g} s")
        supervisor.wait(0.02)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _await_api(supervisor: Supervisor, listener: socket.socket) -> None:
    """Waits until /readyz succeeds, or misses only room on the disk.

    The kernel accepts the request before the API runs.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not supervisor.stopping:
        if time.monotonic() > deadline:
            raise StartFailed(f"the API is not ready after {READY_SECONDS:g} s")
        with socket.create_connection(reachable(listener)) as client:
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if supervisor.wait(5.0, [client]) and _can_work(client):
                return
        supervisor.wait(0.1)


def _can_work(client: socket.socket) -> bool:
    """Whether nothing but room on the disk is missing, which deleting jobs may make."""
    answer = b""
    with suppress(ConnectionError):
        while part := client.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 503 " not in head[:32]:
        return b" 200 " in head[:32]
    checks = json.loads(body).get("checks", {})
    return {part for part, state in checks.items() if state != "ok"} == {"disk"}
