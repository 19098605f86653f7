"""Saying what has to be so, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from gradserve.errors import ClientError

T = TypeVar("T")


class Failed(Exception):
    """Something is not as it has to be."""


def expect(condition: object, otherwise: str) -> None:
    """
    Raises:
        Failed: the condition is not true.
    """
    if not condition:
        raise Failed(otherwise)


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """The first true value; a service that is away for a moment has none.

    Raises:
        Failed: there is none in time.
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
