"""Brings a database to the schema of this version, or says why it cannot."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service.common.errors import DatabaseTooNew, DatabaseTooOld, DatabaseUnavailable
from service.common.settings import Settings
from service.store.connections import make_engine


def upgrade(settings: Settings) -> None:
    """Runs every migration that the database lacks; nothing when it lacks none.

    Safe to call from several processes at once: one migrates, the others wait and find it done.

    Raises:
        DatabaseTooNew: the database was made by a newer version.
        DatabaseUnavailable: it cannot be reached, opened or written.
    """
    engine = make_engine(settings, "migrate")
    try:
        with engine.begin() as connection:
            try:
                check(connection)
            except DatabaseTooOld:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except DBAPIError as error:
        # Postgres takes passwords in the query as well, which SQLAlchemy would show.
        shown = engine.url.difference_update_query(["password", "sslpassword"])
        where = shown.render_as_string(hide_password=True)
        reason = str(error.orig).splitlines()[0]
        raise DatabaseUnavailable(f"the database cannot be used: {reason} ({where})") from error
    finally:
        engine.dispose()


def check(connection: Connection) -> None:
    """Compares the database's schema with the one that this version was written for.

    Raises:
        DatabaseTooNew: it has a revision that this version does not know.
        DatabaseTooOld: it lacks migrations.
    """
    current = MigrationContext.configure(connection).get_current_revision()
    if current == _head():
        return
    if current is None:
        raise DatabaseTooOld("the database has no gradserve tables yet: run the migrations first")
    if current not in _revisions():
        raise DatabaseTooNew(
            f"the database has schema revision {current}, this version of gradserve knows only "
            f"those up to {_head()}: upgrade gradserve, or use another database"
        )
    raise DatabaseTooOld(
        f"the database has schema revision {current}, this version of gradserve needs "
        f"{_head()}: run the migrations first"
    )


def _config() -> Config:
    config = Config()
    with as_file(files("migrations")) as folder:
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


@cache
def _revisions() -> tuple[str, ...]:
    script = ScriptDirectory.from_config(_config())
    return tuple(revision.revision for revision in script.walk_revisions())


def _head() -> str:
    return _revisions()[0]
