"""The API keys of a database, for `gradserve keys` and for the start of a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.common.errors import ConfigError, DatabaseUnavailable
from service.common.settings import Settings
from service.store import api_keys, migrate
from service.store.api_keys import SCOPES, BadKey, Scope
from service.store.connections import make_engine, make_sessions
from service.store.owners import LOCAL
from service.store.tables import ApiKey

NO_KEY = (
    "requests need an API key here, and there is none yet: `gradserve keys create NAME` makes one"
)


def create(
    settings: Settings,
    *,
    owner: str,
    name: str,
    scopes: Sequence[Scope],
    lifetime_seconds: float | None,
) -> str:
    """Makes a key and stores its hash; returns the key, which cannot be had again.

    Raises:
        BadKey: owner, name or scopes are not usable.
        DatabaseTooNew, DatabaseUnavailable: the database cannot be used.
    """
    migrate.upgrade(settings)
    key = api_keys.generate()
    with _transaction(settings) as session:
        api_keys.store(
            session, key, owner=owner, name=name, scopes=scopes, lifetime_seconds=lifetime_seconds
        )
    return key


def everything(settings: Settings) -> Sequence[ApiKey]:
    """All keys, the oldest first."""
    migrate.upgrade(settings)
    with _transaction(settings) as session:
        return api_keys.everything(session)


def revoke(settings: Settings, prefix: str) -> None:
    """Ends a key at once. Raises BadKey where there is none of this prefix."""
    migrate.upgrade(settings)
    with _transaction(settings) as session:
        api_keys.revoke(session, prefix)


def store_first(settings: Settings) -> None:
    """Stores the key of GRADSERVE_FIRST_API_KEY while there is no key at all.

    Raises:
        ConfigError: the setting is not a key.
    """
    if not settings.first_api_key:
        return
    with _transaction(settings) as session:
        if api_keys.everything(session):
            return
        try:
            api_keys.store(
                session, settings.first_api_key, owner=LOCAL, name="first key", scopes=SCOPES
            )
        except BadKey as error:
            raise ConfigError(f"GRADSERVE_FIRST_API_KEY: {error}") from None


def are_missing(settings: Settings) -> bool:
    """Whether nobody could get in with a key."""
    with _transaction(settings) as session:
        return not api_keys.usable(session)


@contextmanager
def _transaction(settings: Settings) -> Iterator[Session]:
    engine = make_engine(settings, "migrate")
    try:
        with make_sessions(engine).begin() as session:
            yield session
    except DBAPIError as error:
        raise DatabaseUnavailable(f"the database cannot be used ({error.orig})") from error
    finally:
        engine.dispose()
