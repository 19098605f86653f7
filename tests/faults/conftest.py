"""Databases with audit triggers in them."""

from __future__ import annotations

import pytest

from service.config import Settings
from service.db.session import make_engine
from tests.faults import audit


@pytest.fixture
def audited(database: str) -> str:
    """The address of an empty database whose triggers record what must never happen."""
    engine = make_engine(Settings(database_url=database), "migrate")
    audit.install(engine)
    engine.dispose()
    return database
