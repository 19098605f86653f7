"""The number of connections that the process has files for."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from service.run.gunicorn_worker import OTHER_FILES, room_for


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    """Those of this process, which are put back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_as_far_as_needed(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    assert room_for(300) == 300
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300 + OTHER_FILES, limits[1])


def test_a_limit_that_is_high_enough_stays(limits: tuple[int, int]) -> None:
    assert room_for(10) == 10
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


def test_connections_keep_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not set for good: nobody but root can raise a hard limit again.
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 300))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: None)
    assert room_for(1000) == 300 - OTHER_FILES
