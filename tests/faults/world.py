"""The whole service as processes, small and quick, to be broken by tests.

API, worker and recovery run through the saboteur, with the command lines of
`service.run.programs`. The broker is a real Valkey, the database a real SQLite file or Postgres.
The periods (`QUICK`) are a fraction of the defaults, unless a test is about the defaults.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import redis
from sqlalchemy import func, select

from engine.spec import JobSpec
from service.common.messages import make_publisher, try_publish, waiting
from service.common.settings import Settings, env_name
from service.run import programs
from service.store import jobs
from service.store.connections import make_engine, make_sessions
from service.store.migrate import upgrade
from service.store.states import TERMINAL
from service.store.tables import Job
from tests import servers
from tests.faults import audit, oracle
from tests.faults.clusters import Cluster
from tests.faults.points import Points
from tests.processes import alive, until

QUICK = {
    "lease_seconds": 2.0,
    "recovery_seconds": 0.2,
    "republish_seconds": 1.0,
    "progress_seconds": 0.1,
}
DEFAULTS: Mapping[str, float] = {}

START_SECONDS = 90.0
ROOT = Path(__file__).parents[2]
SABOTEUR = (sys.executable, "-P", "-m", "tests.faults.saboteur")


class Broker:
    """A Valkey that can be killed, started again at the same address, and frozen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = servers.start_valkey(folder)
        self.url = self._server.url

    def start(self) -> None:
        """Starts the server unless it is running."""
        if self._server.process.poll() is not None:
            self._server = servers.start_valkey(self._folder)

    def kill(self) -> None:
        """Kills with −9. The queue is lost, because none of it is on disk."""
        self._server.stop(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self._server.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        with redis.Redis(unix_socket_path=str(self._folder / "valkey.sock")) as client:
            client.flushall()


@dataclass(frozen=True)
class Program:
    """A running program with all the processes that it forked."""

    role: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        # A killed program is a zombie a moment before it can be waited for: its threads die last.
        return self.process.poll() is None and alive(self.pid)

    def kill(self) -> None:
        """Kills the program itself with −9; the processes that it forked must notice."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float) -> None:
        """Sends SIGTERM, and fails if the program takes longer than this to end."""
        self.process.terminate()
        self.process.wait(seconds)

    def end(self) -> None:
        """Kills the program and all that it forked."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


class World:
    """One service. `accepted` holds the jobs that it has promised to bring to an end.

    Its database is migrated and audited; `cluster` is the Postgres that it uses, if any.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        cluster: Cluster | None = None,
        periods: Mapping[str, float] = QUICK,
        slots: int = 4,
        cold: bool = True,
        unfenced: str = "",
    ) -> None:
        self.folder = folder
        self.cluster = cluster
        self.periods = periods
        self.accepted: list[str] = []
        self.points = Points(folder / "points")
        self._slots = slots
        self._environ = {
            "GRADSERVE_TEST_COLD": "1" if cold else "",
            "GRADSERVE_TEST_UNFENCED": unfenced,
            "PYTHONPATH": str(ROOT),
        }
        self._programs: list[Program] = []
        with ExitStack() as stack:
            broker_folder = stack.enter_context(servers.server_folder())
            self.broker = Broker(broker_folder)
            stack.callback(self.broker.kill)
            self.settings = Settings(
                data_dir=str(folder),
                database_url=database_url,
                broker_url=self.broker.url,
                auth="off",
                **periods,  # type: ignore[arg-type]
            )
            self._environ |= self.points.environ | self._settings_environ()
            self.publisher = make_publisher(self.settings)
            stack.callback(self.publisher.close)
            engine = make_engine(self.settings, "worker")
            stack.callback(engine.dispose)
            self.sessions = make_sessions(engine)
            self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
            self.http = stack.enter_context(httpx.Client(base_url=url, timeout=10))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for program in self._programs:
            program.end()
        if kind is not None:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-4000:]}")
        self._stack.close()

    # Programs

    def start(self) -> None:
        """Starts each part that is not running: database server, broker, recovery, worker, API."""
        if self.cluster is not None:
            self.cluster.start()
        self.broker.start()
        for role, start in (
            ("recovery", self.start_recovery),
            ("worker", self.start_worker),
            ("api", self.start_api),
        ):
            if not self.running(role):
                start()
        self.await_api()

    def await_api(self) -> None:
        until(self._api_answers, START_SECONDS, "the API answers")

    def running(self, role: str) -> list[Program]:
        """The programs in this role, newest first."""
        return [
            program for program in self._programs[::-1] if program.role == role and program.runs
        ]

    @property
    def worker(self) -> Program:
        return self.running("worker")[0]

    @property
    def api(self) -> Program:
        return self.running("api")[0]

    @property
    def recovery(self) -> Program:
        return self.running("recovery")[0]

    def start_worker(self) -> Program:
        return self._start("worker", programs.worker(self._slots).argv)

    def start_recovery(self) -> Program:
        return self._start("recovery", programs.recovery().argv)

    def start_api(self) -> Program:
        part = programs.api(self._listener)
        return self._start("api", part.argv, part.pass_fds)

    def _api_answers(self) -> bool:
        with suppress(httpx.TransportError):
            return self.http.get("/healthz").status_code == 200
        return False

    def _start(self, role: str, argv: Sequence[str], pass_fds: Iterable[int] = ()) -> Program:
        log = self.folder / f"{role}-{len(self._programs)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*SABOTEUR, *argv[argv.index("-m") + 1 :]],
                env=os.environ | self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=list(pass_fds),
                start_new_session=True,
                preexec_fn=servers.die_with_parent(signal.SIGKILL),
            )
        self._programs.append(Program(role, process, log))
        return self._programs[-1]

    def _settings_environ(self) -> dict[str, str]:
        fields = dataclasses.fields(self.settings)
        return {env_name(field.name): str(getattr(self.settings, field.name)) for field in fields}

    # Jobs

    def post(self, spec: JobSpec, **headers: str) -> httpx.Response:
        """Sends POST /v1/jobs and notes an accepted job as promised."""
        answer = self.http.post(
            "/v1/jobs",
            content=spec.model_dump_json(),
            headers={"Content-Type": "application/json", **headers},
        )
        if answer.status_code == 201 and answer.json()["id"] not in self.accepted:
            self.accepted.append(answer.json()["id"])
        return answer

    def put(self, *specs: JobSpec) -> list[str]:
        """Stores and publishes jobs as the API does, without its process."""
        with self.sessions.begin() as session:
            ids = [jobs.create(session, spec).id for spec in specs]
        self.accepted += ids
        for id in ids:
            try_publish(self.publisher, id)
        return ids

    def job(self, id: str) -> Job:
        with self.sessions.begin() as session:
            return jobs.get(session, id)

    def states(self, id: str) -> list[audit.Seen]:
        with self.sessions.begin() as session:
            return audit.states(session, jobs.get(session, id).pk)

    def await_state(self, id: str, *states: str, seconds: float = 30) -> Job:
        until(lambda: self.job(id).state in states, seconds, f"{id} {states}")
        return self.job(id)

    def await_steps(self, *ids: str, seconds: float = 30) -> None:
        """Waits until each job has been running and has a checkpoint."""
        until(lambda: all(self.job(id).step > 0 for id in ids), seconds, "steps")

    def await_claim(self, id: str, fence: int, seconds: float = 30) -> None:
        """Waits until the job has been claimed N times."""
        until(lambda: self.job(id).fence >= fence, seconds, f"claim {fence} of {id}")

    def await_end(self, seconds: float = 60) -> None:
        """Waits until every accepted job has ended."""
        unfinished = (
            select(func.count())
            .select_from(Job)
            .where(Job.state.not_in(TERMINAL), Job.id.in_(self.accepted))
        )

        def all_ended() -> bool:
            with self.sessions.begin() as session:
                return session.scalar(unfinished) == 0

        until(all_ended, seconds, "all jobs have ended")

    def await_quiet(self) -> None:
        """Waits until the workers have taken every message."""
        until(lambda: waiting(self.publisher) == 0, 30, "no message waits")

    def assert_kept(self, endings: Sequence[str] = oracle.ORDERLY) -> None:
        """Waits for the end of every accepted job, and asserts that every promise was kept."""
        self.await_end()
        with self.sessions.begin() as session:
            oracle.assert_kept(session, self.accepted, endings)

    def owner(self, id: str) -> int:
        """The pool process that trains the job."""
        job = self.await_state(id, "running")
        return int(str(job.worker).rpartition(":")[2])

    def strike(self, id: str, number: signal.Signals) -> int:
        """Sends a signal to the process that trains the job."""
        pid = self.owner(id)
        os.kill(pid, number)
        return pid


def make_audited_database(folder: Path, cluster: Cluster | None) -> str:
    """The address of a new database with our tables and the audit's triggers.

    It is a file in the folder, or a database on the cluster if there is one.
    """
    url = cluster.make_database() if cluster else f"sqlite:///{folder}/gradserve.db"
    settings = Settings(database_url=url)
    upgrade(settings)
    engine = make_engine(settings, "migrate")
    audit.install(engine)
    engine.dispose()
    return url
