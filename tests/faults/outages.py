"""Outages of a database: locked, down, or on a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import text

from tests import servers
from tests.faults.clusters import Cluster
from tests.faults.world import World

SPARE_BYTES = 64_000_000


class NoDisk(Exception):
    """No small disk can be mounted here."""


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Locks the tables against writers."""
    with world.sessions.begin() as session:
        if not world.settings.sqlite:
            session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            session.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        session.connection()
        yield


@contextmanager
def down(cluster: Cluster, end: signal.Signals) -> Iterator[None]:
    """Stops Postgres for the block: SIGINT in order, SIGQUIT like a crash."""
    cluster.stop(end)
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def disk_full(world: World) -> Iterator[None]:
    """Lets the tables grow no more.

    Raises:
        NoDisk: Postgres needs a small disk for this, and none can be mounted.
    """
    if world.cluster is None:
        world.points.limit_pages(1)  # SQLite takes the present size if that is larger
        try:
            yield
        finally:
            world.points.limit_pages(None)
    else:
        url = world.settings.database_url
        size = world.cluster.size(url) + SPARE_BYTES
        with _small_disk(size) as disk, world.cluster.tables_on(disk, url):
            with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
            try:
                yield
            finally:
                (disk / "filler").unlink()


@contextmanager
def _small_disk(size: int) -> Iterator[Path]:
    with servers.server_folder() as folder:
        disk = folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            raise NoDisk
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
