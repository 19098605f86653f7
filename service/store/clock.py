"""The database's clock, the only one whose times are compared.

Repository functions take the time as `now`, so that tests can bring their own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Double


class DatabaseTime(FunctionElement[float]):
    """Seconds since the epoch by the database's clock; the same all over one statement."""

    type = Double()
    inherit_cache = True


DATABASE_TIME = DatabaseTime()


@compiles(DatabaseTime, "sqlite")
def _sqlite_time(element: DatabaseTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    # unixepoch('subsec') needs SQLite 3.42; julianday has the same milliseconds.
    return "round((julianday('now') - 2440587.5) * 86400.0, 3)"


@compiles(DatabaseTime, "postgresql")
def _postgres_time(element: DatabaseTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    # Not now(), which stands still from the start of the transaction.
    return "extract(epoch from statement_timestamp())::double precision"
