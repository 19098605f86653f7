"""Migrations make the schema. It fits the models, and is checked before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from service.common.errors import DatabaseTooNew, DatabaseTooOld, DatabaseUnavailable
from service.common.settings import Settings
from service.store import migrate
from service.store.connections import make_engine
from service.store.tables import Base


def test_migrations_make_exactly_what_the_models_say(settings: Settings) -> None:
    with make_engine(settings, "migrate").connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def fail_as(settings: Settings, code: str) -> None:
    with make_engine(settings, "api").begin() as connection:
        connection.execute(
            text(
                "INSERT INTO jobs (id, spec, steps, state, error_code, created_at, updated_at) "
                "VALUES (:id, '{}', 1, 'failed', :code, 0, 0)"
            ),
            {"id": f"job {code}", "code": code},
        )


def test_the_newest_error_code_comes_and_goes_with_its_migration(settings: Settings) -> None:
    fail_as(settings, "out_of_memory")
    with pytest.raises(IntegrityError):
        fail_as(settings, "no such code")
    config = migrate._config()
    with make_engine(settings, "migrate").begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    with pytest.raises(IntegrityError):
        fail_as(settings, "out_of_memory")
    with make_engine(settings, "api").connect() as connection:
        codes = connection.execute(text("SELECT error_code FROM jobs")).scalars().all()
    assert codes == ["internal"]
    migrate.upgrade(settings)
    with make_engine(settings, "api").connect() as connection:
        if settings.sqlite:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    fail_as(settings, "worker_lost")


def test_upgrading_twice_changes_nothing(settings: Settings) -> None:
    migrate.upgrade(settings)
    with make_engine(settings, "api").connect() as connection:
        migrate.check(connection)


def test_a_newer_database_is_refused(settings: Settings) -> None:
    engine = make_engine(settings, "migrate")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match=r"revision 9999.*upgrade gradserve"):
        migrate.upgrade(settings)
    with engine.connect() as connection, pytest.raises(DatabaseTooNew):
        migrate.check(connection)


def test_a_database_without_tables_is_told_from_a_migrated_one(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/empty.db")
    with (
        make_engine(settings, "api").connect() as connection,
        pytest.raises(DatabaseTooOld, match="run the migrations first"),
    ):
        migrate.check(connection)


@pytest.mark.parametrize(
    "url",
    ["sqlite:////nonexistent/folder/file.db", "postgresql://me:hunter2@127.0.0.1:1/gradserve"],
)
def test_a_database_that_cannot_be_opened_is_one_sentence(url: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        migrate.upgrade(Settings(database_url=url))
    sentence = str(caught.value)
    assert url.rpartition("/")[2] in sentence
    assert "\n" not in sentence
    assert "hunter2" not in sentence


def test_a_file_that_is_not_a_database_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 1000)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        migrate.upgrade(Settings(database_url=f"sqlite:///{path}"))


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    code = (
        "from service.common.settings import Settings; from service.store.migrate import upgrade;"
        f"upgrade(Settings(database_url='sqlite:///{tmp_path}/new.db'))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


@pytest.mark.parametrize(
    "address", ["me:hunter2@127.0.0.1:1/x", "me@127.0.0.1:1/x?password=hunter2"]
)
def test_a_database_that_cannot_be_reached_is_named_without_its_password(address: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        migrate.upgrade(Settings(database_url=f"postgresql://{address}"))
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)
