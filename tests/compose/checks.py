"""Conditions that must be true, now or within some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from gradserve.errors import ClientError

T = TypeVar("T")


class Failed(Exception):
    """A condition that must be true is not."""


def expect(condition: object, otherwise: str) -> None:
    """Checks a condition.

    Raises:
        Failed: the condition is not true.
    """
    if not condition:
        raise Failed(otherwise)


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """The first true value of the condition. A service may be unavailable for a moment.

    Raises:
        Failed: the condition has no true value in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (Failed, ClientError):
            value = None
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
