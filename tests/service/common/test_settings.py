"""Settings from the environment, either all of them valid or none of them used."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from service.common.errors import ConfigError
from service.common.settings import Settings, table


def test_defaults_are_the_embedded_service() -> None:
    settings = Settings.from_env({"HOME": "/root", "PATH": "/bin"})
    assert settings.database_url == "sqlite:///var/gradserve.db"
    assert settings.lease_seconds == 20
    assert settings.sqlite


def test_every_field_is_read_from_its_variable() -> None:
    settings = Settings.from_env(
        {
            "GRADSERVE_DATA_DIR": "/srv/data",
            "GRADSERVE_BROKER_URL": "redis+socket:///run/valkey.sock",
            "GRADSERVE_LEASE_SECONDS": "3.5",
            "GRADSERVE_MAX_BODY_BYTES": "1000",
        }
    )
    assert settings.database_url == "sqlite:////srv/data/gradserve.db"
    assert settings.broker_url == "redis+socket:///run/valkey.sock"
    assert settings.lease_seconds == 3.5
    assert settings.max_body_bytes == 1000


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Settings.from_env({"GRADSERVE_LEASE_SECONDS": ""}).lease_seconds == 20


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_addresses_get_the_driver_that_is_installed(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://me:secret@db/gradserve")
    assert settings.database_url == "postgresql+psycopg://me:secret@db/gradserve"
    assert not settings.sqlite


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LEASE_SECOND", "3", "did you mean GRADSERVE_LEASE_SECONDS?"),
        ("COLOUR", "blue", "is not a setting of gradserve"),
        ("LEASE_SECONDS", "soon", "GRADSERVE_LEASE_SECONDS is 'soon': it must be a number"),
        ("LEASE_SECONDS", "nan", "must be a number of seconds above 0"),
        ("RECOVERY_SECONDS", "0", "GRADSERVE_RECOVERY_SECONDS is 0.0"),
        ("REPUBLISH_SECONDS", "-1", "GRADSERVE_REPUBLISH_SECONDS is -1.0"),
        ("PROGRESS_SECONDS", "inf", "GRADSERVE_PROGRESS_SECONDS is inf"),
        ("LEASE_SECONDS", "0.5", "must be longer than"),
        ("MAX_BODY_BYTES", "1e6", "it must be a whole number"),
        ("MAX_BODY_BYTES", "0", "it must be at least 1"),
        ("MAX_JOB_WORK", "0", "it must be at least 1"),
        ("MAX_JOB_MEMORY_BYTES", "2 GB", "it must be a whole number"),
        ("MAX_DEADLINE_SECONDS", "0", "must be a number of seconds above 0"),
        ("CHECKPOINT_BYTES_PER_JOB", "-1", "it must be at least 1"),
        ("DATABASE_URL", "gradserve.db", "is not an address"),
        ("DATABASE_URL", "mysql://db/gradserve", "has the scheme 'mysql'"),
        ("DATABASE_URL", "sqlite://", "must name a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("BROKER_URL", "amqp://localhost", "must look like redis://"),
        ("BROKER_URL", "redis://", "must look like redis://"),
        ("BROKER_URL", "redis://host:port", "must look like redis://"),
        ("BROKER_URL", "redis+socket://", "must look like redis://"),
        ("BROKER_URL", "redis://a..b/0", "must look like redis://"),
        ("BROKER_URL", "rediss://one/0;rediss://two/0", "must look like redis://"),
        ("BROKER_URL", "redis://host/abc", "ends in a database that is not a number"),
        ("BROKER_URL", "rediss://host:1/-1", "ends in a database that is not a number"),
        ("BROKER_URL", "redis://host/0?timeout=3", "has the option 'timeout': redis knows ssl_"),
        ("BROKER_URL", "redis+socket:///a?db=1", "'db': redis+socket knows virtual_host"),
        ("BROKER_URL", "rediss://host/0?ssl_cert_reqs=no", "ssl_cert_reqs='no': it must be"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({f"GRADSERVE_{name}": value})
    assert sentence in str(caught.value)
    assert f"GRADSERVE_{name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_passwords_stay_out_of_messages_and_logs() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(database_url="postgresql//me:hunter2@db/gradserve")
    assert "hunter2" not in str(caught.value)
    settings = Settings(
        database_url="postgresql://me:hunter2@db/x", broker_url="redis://:hunter2@broker/0"
    )
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "broker_url",
    [
        "redis://me:12/hunter2@broker/0",
        "redis://me:12/3?hunter2@broker/0",
        "redis://me:12/3?hunter2=4@broker/0",
        "rediss://me:12?a=b&hunter2@broker/0",
        "redis://me:a#hunter2@broker/0",
    ],
)
def test_half_a_password_is_not_taken_for_something_else_and_shown(broker_url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(broker_url=broker_url)
    assert "hunter2" not in str(caught.value)


def test_variables_of_the_tests_and_the_client_are_not_settings() -> None:
    Settings.from_env({"GRADSERVE_TEST_DATABASE_URL": "postgresql://db/test"})
    Settings.from_env({"GRADSERVE_URL": "http://127.0.0.1:8000"})


def test_the_table_tells_of_every_field() -> None:
    rows = {row.variable: row for row in table()}
    assert len(rows) == len(dataclasses.fields(Settings))
    assert rows["GRADSERVE_LEASE_SECONDS"].default == "20.0"
    assert all(row.help.endswith(".") for row in rows.values())


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("GRADSERVE_SWEEP_SECONDS", "GRADSERVE_RECOVERY_SECONDS", "recovery_seconds"),
        ("GRADSERVE_RING_SECONDS", "GRADSERVE_REPUBLISH_SECONDS", "republish_seconds"),
    ],
)
def test_old_names_are_accepted_and_the_new_one_is_named(
    old: str, new: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert getattr(Settings.from_env({old: "7"}), field) == 7.0
    assert capsys.readouterr().err == f"gradserve: {old} is now called {new}; rename it\n"
    for pair in ({old: "7", new: "7.0"}, {new: "7.0", old: "7"}):
        assert getattr(Settings.from_env(pair), field) == 7.0
    assert getattr(Settings.from_env({old: "7", new: ""}), field) == 7.0
    capsys.readouterr()
    assert getattr(Settings.from_env({old: "", new: "8"}), field) == 8.0
    assert capsys.readouterr().err == ""


def test_an_old_and_a_new_name_that_disagree_are_refused() -> None:
    old, new = "GRADSERVE_SWEEP_SECONDS", "GRADSERVE_RECOVERY_SECONDS"
    for environ in ({old: "1", new: "2"}, {new: "2", old: "1"}):
        with pytest.raises(ConfigError, match=f"{old} and {new}, its new name, differ: remove"):
            Settings.from_env(environ)


def test_a_wrong_value_or_name_is_reported_as_it_was_typed() -> None:
    with pytest.raises(ConfigError, match="GRADSERVE_SWEEP_SECONDS is 'often': it must be"):
        Settings.from_env({"GRADSERVE_SWEEP_SECONDS": "often"})
    with pytest.raises(ConfigError, match=r"SWEP_SECONDS .* did you mean GRADSERVE_RECOVERY_SEC"):
        Settings.from_env({"GRADSERVE_SWEP_SECONDS": "2"})


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////data/jobs.db", "/data/jobs.db"),
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///file:/data/jobs.db?uri=true", None),
        ("postgresql://ada@db/jobs", None),
    ],
)
def test_the_file_of_the_database_is_known(url: str, file: str | None) -> None:
    assert Settings(database_url=url).sqlite_file == (file and Path(file))
