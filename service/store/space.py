"""The room that the database takes on the disk: given back where SQLite holds more than it uses.

Postgres does this by itself (autovacuum). SQLite keeps the pages of deleted rows for later rows,
and its write-ahead log as long as it ever was, until somebody tells it otherwise.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import select

from service.store import everyone
from service.store.database import Database
from service.store.tables import Job

# Nobody can write while pages are given back, and one takes from 20 µs to a millisecond.
FIRST_PAGES = 256
WRITE_SECONDS = 0.1
# In between whoever waits to write gets a turn: SQLite looks this often whether it has one.
PAUSE_SECONDS = 0.1
PASS_SECONDS = 1.0
# Up to this size in use, the file is shortened in one go.
SMALL_BYTES = 32 * 2**20
# Left free while jobs run: their next checkpoints need it again.
SPARE_BYTES = 64 * 2**20
# SQLite keeps the log this long by itself (wal_autocheckpoint).
LOG_BYTES = 4 * 2**20
# How long the log may wait for a reader before it is left for the next pass.
LOG_PATIENCE_MILLISECONDS = 100


def shrink(database: Database) -> int:
    """Gives what SQLite's file and log do not need back to the disk; returns the bytes.

    Takes about a second where there is much; the next call continues.
    """
    if database.file is None:
        return 0
    before = size(database)
    # Busy, or so full that not even this can be written: the next call tries again.
    with suppress(sqlite3.OperationalError):
        _shrink_file(database)
    log = _log(database.file)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        with suppress(sqlite3.OperationalError):
            _truncate_log(database)
    return max(0, before - size(database))


def size(database: Database) -> int:
    """Bytes of SQLite's file and its log; 0 for Postgres."""
    paths = () if database.file is None else (database.file, _log(database.file))
    return sum(path.stat().st_size for path in paths if path.exists())


def _shrink_file(database: Database) -> None:
    until = time.monotonic() + PASS_SECONDS
    pages = FIRST_PAGES
    while True:
        surplus, used_bytes = _pages(database)
        if surplus == 0:
            return
        if used_bytes <= SMALL_BYTES:
            # At the end of this statement all free pages go at once, which takes a hundredth of
            # the time; but others wait until the last used page has moved.
            _run(database, "PRAGMA auto_vacuum=FULL; PRAGMA auto_vacuum=INCREMENTAL")
            return
        begun = time.monotonic()
        _run(database, f"PRAGMA incremental_vacuum({min(pages, surplus)})")
        took = time.monotonic() - begun
        if pages >= surplus or time.monotonic() + PAUSE_SECONDS > until:
            return
        pages = max(1, int(pages * min(4.0, WRITE_SECONDS / max(took, 1e-3))))
        time.sleep(PAUSE_SECONDS)


def _pages(database: Database) -> tuple[int, int]:
    """The free pages that nobody is going to need soon, and the bytes of the pages in use."""
    with everyone.read(database) as session:
        running = session.scalar(select(Job.pk).where(Job.state == "running").limit(1))
        mode, free, count, page_bytes = (
            int(session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("auto_vacuum", "freelist_count", "page_count", "page_size")
        )
    if mode == 0:
        return 0, 0  # a file of an older version, which can only be rewritten as a whole
    spare = 0 if running is None else SPARE_BYTES // page_bytes
    return max(0, free - spare), (count - free) * page_bytes


def _run(database: Database, pragmas: str) -> None:
    """Runs statements that are transactions of their own."""
    with closing(database.engine.raw_connection()) as connection:
        # As a script, because each step of a vacuum gives one page back, and only a script takes
        # all the steps of a statement without columns.
        connection.cursor().executescript(pragmas)


def _truncate_log(database: Database) -> None:
    # Not within a transaction, which SQLAlchemy would begin.
    with closing(database.engine.raw_connection()) as connection:
        cursor = connection.cursor()
        (patience,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {LOG_PATIENCE_MILLISECONDS}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        cursor.execute(f"PRAGMA busy_timeout = {patience}")


def _log(file: Path) -> Path:
    return Path(f"{file}-wal")
