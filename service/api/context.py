"""The services that views use, made once per app."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import cast

from celery import Celery
from flask import Flask, current_app, g
from sqlalchemy.orm import Session

from service.common.messages import make_publisher, try_publish
from service.common.settings import Settings
from service.store.database import Database
from service.store.owners import Owner

EXTENSION = "gradserve"


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    publisher: Celery

    def close(self) -> None:
        """Closes all connections. Tests need it; a process that ends does not."""
        self.database.engine.dispose()
        self.publisher.close()


def attach(app: Flask, settings: Settings) -> Services:
    """Opens no connection yet: an API starts, and answers, without database and broker."""
    publisher = make_publisher(settings)
    database = Database(settings, "api", partial(try_publish, publisher))
    services = Services(settings, database, publisher)
    app.extensions[EXTENSION] = services
    return services


def current() -> Services:
    return cast(Services, current_app.extensions[EXTENSION])


def read() -> AbstractContextManager[Session]:
    """One consistent view of the rows that belong to the sender of this request."""
    return current().database.read(owner())


def write() -> AbstractContextManager[Session]:
    """A transaction on the rows that belong to the sender of this request."""
    return current().database.write(owner())


def owner() -> Owner:
    """The owner for whom `service.api.auth` has let this request in."""
    return cast(Owner, g.owner)
