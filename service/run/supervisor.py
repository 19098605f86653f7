"""Keeps the parts of `gradserve up` running and stops them in order.

One thread, one loop: it sleeps in select() until a signal, an input or a restart that is due
wakes it. A part that ends is started again after a pause, which doubles with each death until
the part has run for a minute. One that keeps ending does not end the others, unless the service
has not begun yet.
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
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from service.common import failing, processes
from service.common.errors import GradserveError
from service.run.log_files import rotate
from service.run.watchdog import Watchdog

Handler = Callable[[int, FrameType | None], None]

# So many deaths in a row, each within `SOUND_SECONDS` of the start, are more than an accident.
MAX_DEATHS = 5
SOUND_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 60.0


class PartFailed(GradserveError):
    """A part cannot be started, or does not stay while the service starts."""


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
    started_at: float = 0.0
    restart_at: float = 0.0
    deaths: int = 0


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
        self._begun = False
        self._failing: dict[str, str] = {}
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

    def begin(self) -> None:
        """Ends the start: from now on a part that keeps ending is started again without end."""
        self._begun = True

    def look_after(self) -> None:
        """What has to be done every second: keeps the logs small, notices parts that are sound."""
        for part in self._parts:
            rotate(self.log_of(part))
            if part.deaths and part.process and _age(part) > SOUND_SECONDS:
                if part.deaths >= MAX_DEATHS:
                    self._say(
                        f"the {part.name} has run for {SOUND_SECONDS:g} s and counts as sound"
                    )
                part.deaths = 0
                self._tell_failing(part, None)

    def log_of(self, part: Part) -> Path:
        return self._log_dir / f"{part.name}.log"

    def wait(
        self, seconds: float | None, inputs: Sequence[socket.socket] = ()
    ) -> list[socket.socket]:
        """Looks after the parts until an input can be read, a stop is asked for or time is up.

        Raises:
            PartFailed: before `begin`, a part died `MAX_DEATHS` times or cannot be started again.
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
        part.started_at = time.monotonic()
        log = self.log_of(part)
        rotate(log)
        try:
            part.process = processes.spawn(
                part.argv, env=self._env, cwd=self._cwd, log=log, pass_fds=part.pass_fds
            )
        except (OSError, subprocess.SubprocessError) as error:
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
            self._note_death(part, cause)

    def _note_death(self, part: Part, cause: str) -> None:
        part.deaths = 1 if _age(part) > SOUND_SECONDS else part.deaths + 1
        often = part.deaths >= MAX_DEATHS
        times = f"the {part.name} ended {part.deaths} times in a row ({cause})"
        where = f"its log is {self.log_of(part)}"
        if often and not self._begun:
            raise PartFailed(f"{times}, giving up; {where}")
        # The exponent is bounded, for after a thousand deaths the power is no float any more.
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(part.deaths - 1, 16), LONGEST_PAUSE_SECONDS)
        part.restart_at = time.monotonic() + pause
        if often:
            self._say(f"{times}, starting it again in {pause:g} s; {where}")
            self._tell_failing(part, f"keeps ending ({cause})")
        else:
            self._say(f"the {part.name} ended ({cause}), starting it again in {pause:g} s")

    def _tell_failing(self, part: Part, trouble: str | None) -> None:
        before = dict(self._failing)
        self._failing.pop(part.name, None)
        if trouble is not None:
            self._failing[part.name] = trouble
        if self._failing != before:
            failing.tell(self._cwd, self._failing)

    def _forget(self, part: Part) -> None:
        self._watchdog.ended(_pid(part))
        part.process = None

    def _restart_due(self) -> None:
        for part in self._parts:
            if part.process is not None or time.monotonic() < part.restart_at:
                continue
            try:
                self._spawn(part)
            except PartFailed as error:
                if not self._begun:
                    raise
                self._note_death(part, str(error))


def _age(part: Part) -> float:
    return time.monotonic() - part.started_at


def _pid(part: Part) -> int:
    assert part.process is not None
    return part.process.pid


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
