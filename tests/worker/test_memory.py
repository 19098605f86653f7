"""The ceiling on a job's memory stops what is too large, at once or bit by bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from worker.memory import SLACK_BYTES, ceiling

ALLOWED = 64 * 2**20


def test_one_large_array_is_refused() -> None:
    with ceiling(ALLOWED), pytest.raises(MemoryError):
        np.ones(2 * (ALLOWED + SLACK_BYTES) // 8)
    np.ones(2 * (ALLOWED + SLACK_BYTES) // 8)


def test_many_small_objects_are_refused() -> None:
    found: list[bytearray] = []
    with ceiling(ALLOWED), pytest.raises(MemoryError):
        found.extend(bytearray(10_000) for _ in itertools.count())
    size = 10_000 * len(found)
    found.clear()
    assert size > ALLOWED


def test_what_is_allowed_is_not_refused() -> None:
    with ceiling(ALLOWED):
        np.ones(ALLOWED // 8)
