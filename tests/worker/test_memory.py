"""The ceiling on a job's memory stops what is too large, at once or bit by bit.

In processes of their own: the threads of a test runner do not outlive a refused request for memory.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.spec import JobSpec
from tests.worker.conftest import Bench, Undisturbed

ALONE = """
import itertools, numpy as np
from worker.memory import SLACK_BYTES, ceiling
ALLOWED = 64 * 2**20

def refused(work):
    with ceiling(ALLOWED):
        try:
            work()
        except MemoryError:
            return True
    return False

"""

WORKER = """
import resource, sys
from engine.spec import JobSpec
from engine.train import train
from service.common.settings import Settings
from service.store.connections import make_engine, make_sessions
from worker.run_job import Context, train_job

url, executor, *ids = sys.argv[1:]
settings = Settings(database_url=url, max_job_memory_bytes=1)  # and the slack
sessions = make_sessions(make_engine(settings, "worker"))
small = JobSpec.model_validate({
    "dataset": {"kind": "moons", "n_samples": 8},
    "model": {"layers": [{"units": 2, "activation": "tanh"}, {"units": 1}]},
    "loss": {"kind": "mse"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 2},
    "executor": executor,
})
for _ in train(small):  # loads what every job needs, as a worker does when it starts
    pass
before = resource.getrlimit(resource.RLIMIT_DATA)
for id in ids:
    train_job(Context(settings, sessions, "alone:1", lambda: False), id)
assert resource.getrlimit(resource.RLIMIT_DATA) == before
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no ceiling elsewhere")


def run(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "check",
    [
        "assert refused(lambda: np.ones(2 * (ALLOWED + SLACK_BYTES) // 8))",
        "assert refused(lambda: [bytearray(10_000) for _ in itertools.count()])",
        "assert not refused(lambda: np.ones(ALLOWED // 8))",
        "refused(lambda: np.ones(10**9)); np.ones(2 * (ALLOWED + SLACK_BYTES) // 8)",
    ],
    ids=["one large array", "many small objects", "what is allowed", "only while it lasts"],
)
def test_the_ceiling_refuses_what_is_too_large_and_nothing_else(check: str) -> None:
    run(ALONE + check)


@pytest.mark.parametrize("executor", ["native", "scalar"])
def test_a_job_that_grows_beyond_its_memory_fails_and_the_next_one_does_not(
    bench: Bench, spec: JobSpec, undisturbed: Undisturbed, executor: str
) -> None:
    large = spec.model_dump() | {"executor": executor}
    large["model"]["layers"] = [{"units": 600, "activation": "tanh"}] * 2 + [{"units": 1}]
    id, neighbour = bench.submit(JobSpec.model_validate(large)), bench.submit(spec)

    run(WORKER, bench.settings.database_url, executor, id, neighbour)

    job = bench.job(id)
    assert (job.state, job.error_code) == ("failed", "out_of_memory")
    assert "more memory than the service allows" in job.error_detail
    assert bench.history(neighbour) == undisturbed.history
    assert bench.sha256(neighbour) == undisturbed.sha256
