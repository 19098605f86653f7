"""Runs migrations, on a connection that `service.store.migrate` hands over.

`alembic revision --autogenerate` and other commands of a developer come without one; they use
the database that GRADSERVE_DATABASE_URL names.
"""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection, text

from service.common.settings import Settings
from service.store.connections import make_engine
from service.store.tables import Base

# Any number that nothing else locks: two processes that start together must not both migrate.
MIGRATION_LOCK = 7_430_172_045


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite can do it too once the driver leaves BEGIN to us: all of a migration or nothing.
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            connection.execute(text("SET LOCAL lock_timeout = '4s'"))
        context.run_migrations()


handed_over: Connection | None = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    with make_engine(Settings.from_env(os.environ), "migrate").begin() as own:
        run(own)
