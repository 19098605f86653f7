"""Keeps the parts of `gradserve up` running and stops them in order.

One thread, one loop: it sleeps in select() until a signal, an input or a restart that is due
wakes it. A part that ends is started again after a pause that doubles with each death of the
last minute; `MAX_DEATHS` of them within a minute end the whole.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from service.common import processes
from service.common.errors import GradserveError
from service.run.watchdog import Watchdog

Handler = Callable[[int, FrameType | None], None]

MAX_DEATHS = 5
DEATH_WINDOW_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.25
MAX_LOG_BYTES = 10 * 2**20


class PartFailed(GradserveError):
    """A part cannot be started, or died so often that starting it again is no remedy."""


@dataclass(slots=True)
class Part:
    """One program that has to run.

    `stage` orders the stopping: the highest goes first, equal ones together. `grace_seconds`
    is the time from SIGTERM to SIGKILL.
    """

    name: str
    argv: Sequence[str]
    stage: int
    grace_seconds: float
    pass_fds: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)
    restart_at: float = 0.0


class Supervisor:
    """Owns the child processes. To be used in the main thread, which gets the signals."""

    def __init__(
        self,
        *,
        env: Mapping[str, str],
        cwd: Path,
        log_dir: Path,
        watchdog: Watchdog,
        say: Callable[[str], None],
    ) -> None:
        self._env = env
        self._cwd = cwd
        self._log_dir = log_dir
        self._watchdog = watchdog
        self._say = say
        self._parts: list[Part] = []
        self._stop_signals = 0
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        handlers: dict[signal.Signals, Handler] = {
            signal.SIGCHLD: lambda number, frame: None,  # it only has to wake the loop
            signal.SIGINT: self._on_stop_signal,
            signal.SIGTERM: self._on_stop_signal,
        }
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup sets it
            handlers[signal.SIGHUP] = self._on_stop_signal
        self._former = {number: signal.signal(number, it) for number, it in handlers.items()}
        processes.adopt_orphans()

    @property
    def stopping(self) -> bool:
        """Whether a signal has asked for the end."""
        return self._stop_signals > 0

    def start(self, part: Part) -> None:
        """Starts a part and keeps it running from now on.

        Raises:
            PartFailed: it cannot be started.
        """
        self._parts.append(part)
        self._spawn(part)

    def log_of(self, part: Part) -> Path:
        return self._log_dir / f"{part.name}.log"

    def wait(
        self, seconds: float | None, inputs: Sequence[socket.socket] = ()
    ) -> list[socket.socket]:
        """Looks after the parts until an input can be read, a stop is asked for or time is up.

        Raises:
            PartFailed: a part died `MAX_DEATHS` times within a minute, or cannot be started.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.stopping:
            wake_at = min(
                (part.restart_at for part in self._parts if part.process is None),
                default=None,
            )
            until = min((t for t in (deadline, wake_at) if t is not None), default=None)
            ready = self._select(inputs, until)
            self._reap()
            self._restart_due()
            if ready or (deadline is not None and time.monotonic() >= deadline):
                return ready
        return []

    def stop(self) -> None:
        """Stops the parts stage by stage; nothing of them is left when it returns.

        A second signal meanwhile ends the grace: whoever is still there is killed.
        """
        signals_before = max(self._stop_signals, 1)
        for stage in sorted({part.stage for part in self._parts}, reverse=True):
            parts = [part for part in self._parts if part.stage == stage and part.process]
            for part in parts:
                processes.signal_leader(_pid(part), signal.SIGTERM)
            start = time.monotonic()
            while parts:
                self._select([], time.monotonic() + 0.05)
                self._reap_children()
                for part in list(parts):
                    if not processes.group_alive(_pid(part)):
                        self._forget(part)
                        parts.remove(part)
                    elif (
                        self._stop_signals > signals_before
                        or time.monotonic() > start + part.grace_seconds
                    ):
                        processes.signal_group(_pid(part), signal.SIGKILL)

    def close(self) -> None:
        """Gives the signals back. Call after `stop`."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._former.items():
            signal.signal(number, handler)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _on_stop_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop_signals += 1

    def _select(self, inputs: Sequence[socket.socket], until: float | None) -> list[socket.socket]:
        timeout = None if until is None else max(0.0, until - time.monotonic())
        watched: list[int | socket.socket] = [self._wake_read, *inputs]
        readable, _, _ = select.select(watched, [], [], timeout)
        with suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass
        return [ready for ready in inputs if ready in readable]

    def _spawn(self, part: Part) -> None:
        log = self.log_of(part)
        try:
            rotate(log)
            part.process = processes.spawn(
                part.argv, env=self._env, cwd=self._cwd, log=log, pass_fds=part.pass_fds
            )
        except OSError as error:
            raise PartFailed(f"the {part.name} cannot be started: {error}") from error
        self._watchdog.started(part.process.pid)

    def _reap_children(self) -> list[tuple[Part, str]]:
        """Takes the exit status of every ended child; returns the parts among them."""
        ended: list[tuple[Part, str]] = []
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                for part in self._parts:
                    if part.process is not None and part.process.pid == pid:
                        code = os.waitstatus_to_exitcode(status)
                        part.process.returncode = code
                        ended.append((part, _cause(code)))
        return ended

    def _reap(self) -> None:
        for part, cause in self._reap_children():
            # What it forked must not hold its socket or its jobs while a new one starts.
            processes.signal_group(_pid(part), signal.SIGKILL)
            self._forget(part)
            now = time.monotonic()
            part.deaths = [t for t in part.deaths if t > now - DEATH_WINDOW_SECONDS] + [now]
            if len(part.deaths) >= MAX_DEATHS:
                raise PartFailed(
                    f"the {part.name} ended {MAX_DEATHS} times within a minute ({cause}), "
                    f"giving up; its log is {self.log_of(part)}"
                )
            pause = FIRST_PAUSE_SECONDS * 2 ** (len(part.deaths) - 1)
            part.restart_at = now + pause
            self._say(f"the {part.name} ended ({cause}), starting it again in {pause:g} s")

    def _forget(self, part: Part) -> None:
        self._watchdog.ended(_pid(part))
        part.process = None

    def _restart_due(self) -> None:
        for part in self._parts:
            if part.process is None and time.monotonic() >= part.restart_at:
                self._spawn(part)


def rotate(log: Path) -> None:
    """Puts a log that has grown large aside; called whenever its part is started."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def _pid(part: Part) -> int:
    assert part.process is not None
    return part.process.pid


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
