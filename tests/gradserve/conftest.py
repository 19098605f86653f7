"""The whole service, started as a person starts it, for the tests of its clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from gradserve.cli.demo import running_service
from gradserve.client import Gradserve
from gradserve.errors import ClientError


@pytest.fixture(scope="session")
def service_url() -> Iterator[str]:
    with running_service() as url:
        yield url


@pytest.fixture
def service(service_url: str) -> Iterator[Gradserve]:
    """A client. Jobs that a test leaves unfinished are cancelled, as there is only one worker."""
    with Gradserve(service_url) as client:
        yield client
        for state in ("queued", "running", "paused"):
            for job in client.list(state=state, limit=1000):
                with suppress(ClientError):  # it may have ended by itself
                    client.cancel(job["id"])
