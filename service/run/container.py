"""`python -m service.run.container ROLE`: what a container of the image runs.

It looks at the settings, the database and the broker, then becomes the program of its role.
What a person has to put right (a wrong password, a schema of another version) ends the
container with one sentence in its log. A server that is merely unavailable does not: the programs
themselves wait for it, as they do later on.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from kombu.exceptions import OperationalError
from redis.exceptions import AuthenticationError
from sqlalchemy.exc import DBAPIError

from service.common import logs
from service.common.errors import ConfigError, DatabaseUnavailable, GradserveError
from service.common.messages import make_publisher
from service.common.processes import usable_cores
from service.common.settings import Settings
from service.run import keys, programs
from service.run.probe import PORT
from service.run.sockets import listen
from service.store import migrate
from service.store.connections import make_engine

log = logging.getLogger("gradserve")

ROLES = ("api", "worker", "interactive", "recovery", "migrate")
# Roles of version 0.1, accepted for one version, so that its compose file still starts.
RENAMED = {"sweeper": "recovery"}
# What Postgres says when it answers and will refuse this service however long it waits.
REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf", "does not exist")


def main(argv: Sequence[str]) -> int:
    arguments = _arguments(argv)
    os.umask(0o077)  # nobody else may read what the programs write
    logs.configure()
    if arguments.role in RENAMED:
        new = RENAMED[arguments.role]
        log.warning("the role has another name now", extra={"role": arguments.role, "new": new})
        arguments.role = new
    try:
        settings = _settings()
        if arguments.role == "migrate":
            upgrade(settings)
            keys.store_first(settings)
            log.info("the database has the schema of this version")
            return 0
        check_database(settings)
        check_broker(settings)
        if arguments.role == "api":
            look_for_keys(settings)
        _become(_command(arguments.role, arguments.processes, settings.trusted_proxies))
    except GradserveError as error:
        log.critical("%s", error, extra={"role": arguments.role})
        return 1


def upgrade(settings: Settings) -> None:
    """Runs the migrations.

    Raises:
        ConfigError: the database refuses this user, this password or this database name.
        DatabaseTooNew: its schema is a newer version's.
        DatabaseUnavailable: it cannot be reached or written.
    """
    try:
        migrate.upgrade(settings)
    except DatabaseUnavailable as error:
        raise _refusal(error.__cause__) or error from error.__cause__


def check_database(settings: Settings) -> None:
    """Raises for faults that waiting does not mend; a database that is unavailable is only logged.

    Raises:
        ConfigError: it refuses this user, this password or this database name.
        DatabaseTooOld, DatabaseTooNew: its schema is another version's.
    """
    engine = make_engine(settings, "migrate")
    try:
        with engine.connect() as connection:
            migrate.check(connection)
    except DBAPIError as error:
        refusal = _refusal(error)
        if refusal is not None:
            raise refusal from error
        log.warning("the database does not answer yet", extra={"reason": _last_words(error)})
    finally:
        engine.dispose()


def check_broker(settings: Settings) -> None:
    """Raises for faults that waiting does not mend; a broker that is unavailable is only logged.

    Raises:
        ConfigError: it refuses this user or this password.
    """
    publisher = make_publisher(settings)
    try:
        with publisher.connection_for_write() as connection:
            connection.default_channel.client.ping()
    except OperationalError as error:
        if isinstance(error.__cause__, AuthenticationError):
            raise ConfigError(
                f"the broker refuses the password in GRADSERVE_BROKER_URL ({error}): "
                "it must be the one that the broker was started with"
            ) from error
        log.warning("the broker does not answer yet", extra={"reason": str(error)})
    finally:
        publisher.close()


def look_for_keys(settings: Settings) -> None:
    """Says in the log how to make a key where nobody could get in without one."""
    if settings.auth in ("auto", "keys"):
        with suppress(DatabaseUnavailable):
            if keys.are_missing(settings):
                log.warning(keys.NO_KEY)


def _refusal(error: BaseException | None) -> ConfigError | None:
    """The sentence about a database that answers and refuses this service."""
    reason = _last_words(error)
    if not any(refusal in reason for refusal in REFUSALS):
        return None
    return ConfigError(
        f"the database refuses what GRADSERVE_DATABASE_URL says ({reason}): "
        "correct it, or the database; a volume keeps the password that it was made with"
    )


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gradserve container", description=__doc__)
    parser.add_argument("role", choices=(*ROLES, *RENAMED), metavar="{" + ",".join(ROLES) + "}")
    parser.add_argument(
        "--processes",
        type=int,
        default=usable_cores(),
        help="jobs that a worker trains, or answers that it computes, at the same time; as many as "
        "cores by default",
    )
    return parser.parse_args(argv)


def _settings() -> Settings:
    for name in ("GRADSERVE_DATABASE_URL", "GRADSERVE_BROKER_URL"):
        if not os.environ.get(name):
            raise ConfigError(
                f"{name} is not set: containers share a database and a broker, "
                "so each has to be told where they are"
            )
    return Settings.from_env(os.environ)


def _command(role: str, processes: int, trusted_proxies: str) -> Sequence[str]:
    if role == "worker":
        return programs.worker(processes).argv
    if role == "interactive":
        return programs.interactive(processes).argv
    if role == "recovery":
        return programs.recovery().argv
    listener = listen("0.0.0.0", PORT)  # nosec B104 - a container publishes its ports itself
    command = programs.api(listener, trusted_proxies).argv
    os.set_inheritable(listener.detach(), True)
    return command


def _become(command: Sequence[str]) -> NoReturn:
    os.execv(command[0], list(command))  # nosec B606 - a program of service.run.programs


def _last_words(error: BaseException | None) -> str:
    """The server's own reason, without the address in front of it."""
    text = str(getattr(error, "orig", error)).strip()
    return text.splitlines()[0].rpartition("FATAL:")[2].strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
