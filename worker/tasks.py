"""The tasks. Their names are the contract with the service, which never imports them."""

from __future__ import annotations

import os
import socket
from functools import cache

from service.common.logs import facts
from service.common.messages import COMPUTE_ARTIFACT, TRAIN_JOB
from service.store.connections import make_engine, make_sessions
from worker import compute, drain, run_job
from worker.app import app, settings


@app.task(name=TRAIN_JOB)
def train_job(job_id: str) -> None:
    """The message says that a job waits; which one is trained is decided by whose turn it is."""
    here = context()
    with facts(worker=here.worker):
        run_job.train_next(here)


@app.task(name=COMPUTE_ARTIFACT)
def compute_artifact(artifact_id: str) -> None:
    """Likewise: the artifact that is computed is the one whose turn it is."""
    here = context()
    with facts(worker=here.worker):
        compute.compute_next(here)


@cache
def context() -> run_job.Context:
    """Made at the first job of a pool process, and so never before the fork."""
    return run_job.Context(
        settings=settings,
        sessions=make_sessions(make_engine(settings, "worker")),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        draining=drain.started,
    )
