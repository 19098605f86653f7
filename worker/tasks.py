"""The tasks. Their names are the contract with the service, which never imports them."""

from __future__ import annotations

import os
import socket
from functools import cache

from service.db.session import make_engine, make_sessions
from service.queue import TRAIN_JOB
from worker import drain, training
from worker.celery import app, settings


@app.task(name=TRAIN_JOB)
def train_job(job_id: str) -> None:
    training.train_job(context(), job_id)


@cache
def context() -> training.Context:
    """Made at a pool process's first job, and so never before the fork."""
    return training.Context(
        settings=settings,
        sessions=make_sessions(make_engine(settings, "worker")),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        draining=drain.started,
    )
