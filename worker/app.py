"""The Celery application of the worker: `celery -A worker.app worker`.

The parent process only moves messages. It warms up what its pool processes need before it forks
them, and raises the drain flag when it is told to stop. Each pool process opens its own database
connection, so that none is ever shared.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from typing import Any

from celery import signals
from celery.utils.threads import bound_open_broker_sockets

from engine.spec import JobSpec
from engine.train import train
from service.common import logs, processes
from service.common.errors import ConfigError
from service.common.messages import make_celery
from service.common.settings import Settings
from worker import drain, heartbeat

log = logging.getLogger(__name__)

# Takes a few steps on what real jobs use: imports scikit-learn (1.7 s), compiles kernels.
WARM_UP = {
    "dataset": {"kind": "moons", "n_samples": 8},
    "model": {"layers": [{"units": 2, "activation": "relu"}, {"units": 1}]},
    "loss": {"kind": "max_margin"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 2},
}

LAST_READ_SECONDS = 2.0
# A process that has not released its job by then hangs; a supervisor's patience ends at 10 s.
STOP_SECONDS = 8

try:
    settings = Settings.from_env(os.environ)
except ConfigError as error:
    sys.exit(f"gradserve worker: {error}")

app = make_celery(settings)
app.conf.include = ["worker.tasks"]
app.conf.worker_consumer = "worker.consumer:Consumer"
# A message that waited in a busy worker could be handled by another one, and after a stop it
# would be lost until recovery publishes it again.
app.conf.worker_disable_prefetch = True
heartbeat.install(app, settings.heartbeat_file)

_parent = os.getpid()
_controller: Any = None


@signals.setup_logging.connect
def configure_logging(**kwargs: Any) -> None:
    logs.configure(kwargs["loglevel"] or logging.INFO)
    logs.bind(worker=socket.gethostname())


@signals.worker_init.connect
def warm_up(sender: Any, **kwargs: Any) -> None:
    global _controller
    _controller = sender
    take_a_few_steps()


@signals.worker_process_init.connect
def begin_process(**kwargs: Any) -> None:
    # A killed parent takes its pool with it: nobody could tell the pool to drain.
    processes.die_with_parent(_parent, signal.SIGKILL)
    # The memory that a job uses is the parent's until it is touched, and a thousand page faults
    # would make the first small job five times as long; the second has some left.
    for _ in range(3):
        take_a_few_steps()


def take_a_few_steps() -> None:
    for _ in train(JobSpec.model_validate(WARM_UP)):
        pass


@signals.worker_shutting_down.connect
def begin_to_stop(**kwargs: Any) -> None:
    """Runs in the parent's signal handler."""
    if not drain.started():
        signal.signal(signal.SIGALRM, leave)
        signal.alarm(STOP_SECONDS)
    drain.start()
    # On its way out Celery reads the answer to its last BRPOP. A live broker gives it within a
    # second; a frozen one must not delay the stop for the whole socket timeout.
    connection = getattr(getattr(_controller, "consumer", None), "connection", None)
    if connection is not None:
        bound_open_broker_sockets(connection, LAST_READ_SECONDS)


def leave(*_: Any) -> None:
    """Ends the worker although a process hangs: frozen, or waiting for a locked database.

    The kernel ends the pool with its parent, and recovery frees the jobs.
    """
    log.error("a job was not released in time", extra={"seconds": STOP_SECONDS})
    os._exit(1)
