"""The door to the rows of all owners.

For recovery, health checks and metrics, and for authentication, which does not know the owner yet.
An import contract in pyproject.toml names these modules; no endpoint of a resource is among them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from sqlalchemy.orm import Session

from service.store.database import Database


def read(database: Database) -> AbstractContextManager[Session]:
    """As `Database.read`, for the rows of all owners."""
    return database._read()


def write(database: Database) -> AbstractContextManager[Session]:
    """As `Database.write`, for the rows of all owners."""
    return database._write()
