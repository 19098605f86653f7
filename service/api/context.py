"""What the views work with, made once for an app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from celery import Celery
from flask import Flask, current_app

from service.common.messages import make_publisher
from service.common.settings import Settings
from service.store.connections import Database

EXTENSION = "gradserve"


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    publisher: Celery

    def close(self) -> None:
        """Gives connections back; for tests, a process that ends needs no closing."""
        self.database.engine.dispose()
        self.publisher.close()


def attach(app: Flask, settings: Settings) -> Services:
    """Connects nothing yet: an API starts, and answers, without database and broker."""
    services = Services(settings, Database(settings, "api"), make_publisher(settings))
    app.extensions[EXTENSION] = services
    return services


def current() -> Services:
    return cast(Services, current_app.extensions[EXTENSION])
