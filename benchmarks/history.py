"""A job of a million steps, each of them logged: written, followed and drawn.

    python -m benchmarks.history

SQLite and Postgres run as they do in service: every commit is on disk before it returns. Measured
are the rows written per second by whole progress commits, the time for a thousand thinned points
and for a page, and a real job from its first step to its last, with the speed of its steps and
the memory of its process along the way.
"""

from __future__ import annotations

import itertools
import math
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context

from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from engine.train import HistoryRow, train
from service.common.settings import Settings
from service.store import claims, downsampling, history, jobs
from service.store.connections import make_engine, make_read_sessions, make_sessions
from service.store.migrate import upgrade
from tests import servers
from worker.run_job import Context, train_job

ROWS = 1_000_000
ROWS_A_COMMIT = 20_000
POINTS = 1_000
TRIES = 5
CHECKPOINT = bytes(1_000)

# The targets.
WRITTEN_A_SECOND = 200_000
THINNED_SECONDS = 0.3
GROWN_MEGABYTES = 50
SLOWED = 1.25

SPEC = JobSpec.model_validate(
    {
        "dataset": {"kind": "moons", "n_samples": 100, "noise": 0.1, "seed": 1337},
        "model": {"layers": [{"units": 4, "activation": "tanh"}, {"units": 1}]},
        "loss": {"kind": "binary_cross_entropy"},
        "optimizer": {"learning_rate": 0.05},
        "training": {"steps": ROWS, "log_every": 1},
    }
)


@contextmanager
def databases(kind: str) -> Iterator[Settings]:
    """Settings with an empty, durable database."""
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        if kind == "SQLite":
            settings = Settings(data_dir=folder, database_url=f"sqlite:///{folder}/history.db")
            upgrade(settings)
            yield settings
            return
        with servers.server_folder() as cluster:
            servers.init_postgres(cluster)
            server = servers.start_postgres(
                cluster, fsync="on", synchronous_commit="on", full_page_writes="on", autovacuum="on"
            )
            try:
                settings = Settings(data_dir=folder, database_url=server.url)
                upgrade(settings)
                yield settings
            finally:
                server.stop()


def row(step: int) -> HistoryRow:
    return HistoryRow(step, 1.0 / (1 + step) + 0.01 * math.sin(step), 0.5, None, None, 0.1, 1.0)


def write(sessions: sessionmaker[Session]) -> tuple[int, float]:
    """A job's key, and the rows per second at which its progress was written."""
    with sessions.begin() as session:
        id = jobs.create(session, SPEC).id
        claim = claims.claim(session, id, worker="benchmark:1", lease_seconds=60)
    assert claim is not None
    seconds = 0.0
    for start in range(0, ROWS, ROWS_A_COMMIT):
        rows = [row(step) for step in range(start, start + ROWS_A_COMMIT)]
        began = time.perf_counter()
        with sessions.begin() as session:
            claims.record_progress(
                session,
                claim,
                step=start + ROWS_A_COMMIT,
                previous_step=start,
                rows=rows,
                seconds=0.5,
                lease_seconds=60,
                checkpoint=CHECKPOINT,
            )
        seconds += time.perf_counter() - began
    return claim.pk, ROWS / seconds


def median_seconds(work: Callable[[], object]) -> float:
    """The median of five runs, after one that fills the caches."""
    work()
    times = []
    for _ in range(TRIES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def train_one(settings: Settings, answers: object) -> None:
    """Trains a real job in this process; reports its steps and memory over time."""
    warm = JobSpec.model_validate(SPEC.model_dump() | {"training": {"steps": 2}})
    for _ in train(warm):
        pass
    sessions = make_sessions(make_engine(settings, "worker"))
    with sessions.begin() as session:
        id = jobs.create(session, SPEC).id
    marks: list[tuple[float, int, float]] = []

    def look() -> bool:
        # Called between slices: the time, the step in the database and the memory used so far.
        if not marks or time.monotonic() - marks[-1][0] > 0.2:
            with sessions.begin() as session:
                marks.append((time.monotonic(), jobs.get(session, id).step, megabytes()))
        return False

    train_job(Context(settings, sessions, "benchmark:1", look), id)
    with sessions.begin() as session:
        assert jobs.get(session, id).state == "succeeded"
    answers.put(marks)  # type: ignore[attr-defined]


def megabytes() -> float:
    """The peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def a_whole_job(settings: Settings) -> tuple[float, float, float]:
    """Steps per second in the first and the last quarter, and the memory growth between, in MB."""
    context = get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=train_one, args=[settings, answers])
    process.start()
    marks = answers.get()
    process.join()
    quarter = [min(marks, key=lambda mark: abs(mark[1] - ROWS * i / 4)) for i in range(5)]
    rates = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(quarter)]
    return rates[0], rates[-1], marks[-1][2] - quarter[1][2]


def measure(kind: str) -> bool:
    """Prints the figures of one database; returns whether they meet the targets."""
    with databases(kind) as settings:
        engine = make_engine(settings, "worker")
        job, written = write(make_sessions(engine))
        reading = make_read_sessions(engine)

        def thin() -> None:
            with reading.begin() as session:
                downsampling.thinned(session, job, after_step=-1, max_points=POINTS)

        def page() -> None:
            with reading.begin() as session:
                history.read(session, job, after_step=ROWS // 2, limit=1_000)

        thinned, paged = median_seconds(thin), median_seconds(page)
        engine.dispose()
        first, last, grown = a_whole_job(settings)
    print(f"{kind}: {ROWS:,} rows")
    print(f"  written              {written:12,.0f} rows/s")
    print(f"  {POINTS:,} thinned points {thinned * 1000:12,.0f} ms")
    print(f"  a page of 1,000      {paged * 1000:12,.1f} ms")
    print(f"  a real job, first quarter {first:7,.0f} steps/s")
    print(f"  a real job, last quarter  {last:7,.0f} steps/s")
    print(f"  memory grown in between   {grown:7,.1f} MB", flush=True)
    return (
        written >= WRITTEN_A_SECOND
        and thinned < THINNED_SECONDS
        and grown < GROWN_MEGABYTES
        and last * SLOWED > first
    )


def main() -> int:
    good = [measure(kind) for kind in ("SQLite", "Postgres")]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
