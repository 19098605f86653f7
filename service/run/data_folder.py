"""The data folder of `gradserve up`: what lies where, and one owner at a time.

gradserve.db    jobs, history, parameters
lock            held by the process that runs the service on this folder
broker.sock     the private Valkey's socket
failing.json    the parts that keep ending, while there are any
logs/           one file a part
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service.common import failing
from service.common.errors import GradserveError

# sockaddr_un.sun_path, with its terminating NUL.
SOCKET_PATH_BYTES = 108 if sys.platform == "linux" else 104
# One of these is in every folder that has been a data folder.
OURS = frozenset({"gradserve.db", "lock", "logs"})
OTHERS = 0o077
# A killed `gradserve up` leaves a watchdog that ends its processes within this time.
REMAINS_SECONDS = 20.0


class FolderUnusable(GradserveError):
    """The data folder cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """An absolute path, locked. `lock_fd` may be handed to a child that shares the lock."""

    path: Path
    lock_fd: int
    broker_socket: Path

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def database(self) -> Path:
        return self.path / "gradserve.db"

    @property
    def leftovers(self) -> list[Path]:
        """The files that must not stay when the service ends, each before its folder."""
        private = self.broker_socket.parent != self.path
        return [self.broker_socket, *([self.broker_socket.parent] if private else [])]

    @property
    def logs(self) -> Path:
        return self.path / "logs"


@contextmanager
def open_folder(path: Path) -> Iterator[DataFolder]:
    """Makes the folder if it is missing, private in any case, and holds its lock.

    Raises:
        FolderUnusable: it is not a folder, not writable, not for us alone, or another process runs
            on it.
    """
    absolute = make_folder(path)
    try:
        (absolute / "logs").mkdir(exist_ok=True)
        lock_fd = os.open(absolute / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        _lock(lock_fd, path)
        folder = DataFolder(absolute, lock_fd, _socket_path(absolute))
        folder.broker_socket.unlink(missing_ok=True)
        failing.tell(absolute, {})
        try:
            yield folder
        finally:
            failing.tell(absolute, {})
            for leftover in folder.leftovers:
                remove(leftover)
            os.ftruncate(lock_fd, 0)
    finally:
        os.close(lock_fd)


def make_folder(path: Path) -> Path:
    """The absolute path of the folder, which is made where it is missing, for this user alone.

    So is every file that this process, or one that it starts, makes from now on.

    Raises:
        FolderUnusable: it cannot be made, or it is somebody else's too.
    """
    os.umask(OTHERS)
    try:
        absolute = path.resolve()
        absolute.mkdir(parents=True, exist_ok=True, mode=0o700)
        _close_to_others(absolute, path)
    except OSError as error:
        raise _not_writable(path, error) from error
    return absolute


def _close_to_others(folder: Path, typed: Path) -> None:
    """Takes from other users what an older version, or `mkdir`, has let them read."""
    mode = folder.stat().st_mode
    if mode & OTHERS:
        names = {entry.name for entry in folder.iterdir()}
        if mode & stat.S_ISVTX or (names and not names & OURS):
            # Somebody else's files or a folder for everybody, such as /tmp: not ours to close.
            raise FolderUnusable(
                f"the data folder {typed} may be read by other users and is not gradserve's alone: "
                "choose a folder of its own with --data-dir, or close this one with `chmod 700`"
            )
        folder.chmod(0o700)
    logs = folder / "logs"
    files = (folder / "lock", folder / "reserve", *folder.glob("gradserve.db*"))
    for ours in (*files, logs, *logs.glob("*.log")):
        if ours.exists() and not ours.is_symlink():
            ours.chmod(ours.stat().st_mode & ~OTHERS)


def _not_writable(path: Path, error: OSError) -> FolderUnusable:
    return FolderUnusable(
        f"the data folder {path} cannot be written ({error.strerror}): "
        "choose another one with --data-dir"
    )


def remove(path: Path) -> None:
    """Removes a file or an empty folder; one that is gone or in use is left alone."""
    with suppress(OSError):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def _lock(lock_fd: int, path: Path) -> None:
    """Takes the lock, waiting only while the remains of a killed owner are removed."""
    deadline = time.monotonic() + REMAINS_SECONDS
    while not _try_lock(lock_fd, path):
        owner = int(os.pread(lock_fd, 20, 0) or b"0")
        if _alive(owner) or time.monotonic() > deadline:
            raise FolderUnusable(
                f"another `gradserve up` (process {owner}) already runs on the data folder "
                f"{path}: stop it, or choose another folder with --data-dir"
            )
        time.sleep(0.1)
    try:
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, str(os.getpid()).encode(), 0)
    except OSError as error:  # a full disk
        raise _not_writable(path, error) from error


def _try_lock(lock_fd: int, path: Path) -> bool:
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise FolderUnusable(
            f"the data folder {path} cannot be locked ({error.strerror}): "
            "choose one on a local disk with --data-dir"
        ) from error
    return True


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _socket_path(folder: Path) -> Path:
    """In the folder, or in a short private one where the folder's path is too long for a socket."""
    path = folder / "broker.sock"
    if len(os.fsencode(path)) < SOCKET_PATH_BYTES:
        return path
    name = f"gradserve-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    for parent in (tempfile.gettempdir(), "/tmp"):  # nosec B108 - made with 0700, then checked
        runtime = Path(parent, name)
        if len(os.fsencode(runtime / path.name)) < SOCKET_PATH_BYTES:
            _make_private(runtime)
            return runtime / path.name
    raise FolderUnusable(f"the path {folder} is too long for a socket and so is that of {parent}")


def _make_private(runtime: Path) -> None:
    try:
        with suppress(FileExistsError):
            runtime.mkdir(mode=0o700)
        found = runtime.lstat()
    except OSError as error:
        raise FolderUnusable(
            f"the folder {runtime} cannot be made ({error.strerror}): choose a shorter --data-dir"
        ) from error
    # The name can be guessed: somebody else's folder or link of that name is not to be used.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FolderUnusable(
            f"{runtime} is not a private folder of this user: remove it, "
            "or choose a shorter --data-dir"
        )
