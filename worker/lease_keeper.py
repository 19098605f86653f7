"""Keeps the lease while a slice of training takes long.

Slices take about 50 ms, and the step loop renews the lease between them. But the first one of a
network of millions of parameters, or a single example of it, takes up to a minute on a busy
machine, and so does reading a specification of 30 MB: without this the job would be taken from a
worker that is busy with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from typing import Self, TypeVar

from service.common.errors import LeaseLost
from worker.retries import UNREACHABLE

log = logging.getLogger(__name__)

T = TypeVar("T")

# A slice that takes longer than this hangs, and its worker loses the job.
LONGEST_SLICE_SECONDS = 600.0


class LeaseKeeper:
    """A thread that calls `renew` every `every` seconds while a slice lasts longer than that."""

    def __init__(self, renew: Callable[[], object], *, every: float) -> None:
        self._renew = renew
        self._every = every
        self._slice_began: float | None = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        context = copy_context()  # so that its log lines name the job
        threading.Thread(target=context.run, args=[self._beat], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not waited for: what it still sends is refused by the fence once the job is left.
        self._over.set()

    def watch(self, slices: Iterator[T]) -> Iterator[T]:
        """Yields the slices; `renew` is called while one of them is being made."""
        while True:
            try:
                slice = self.during(partial(next, slices))
            except StopIteration:
                return
            yield slice

    def during(self, work: Callable[[], T]) -> T:
        """Returns the result of `work`; `renew` is called while it takes long.

        Work may have slices of its own.
        """
        outer = self._slice_began
        self._slice_began = time.monotonic()
        try:
            return work()
        finally:
            self._slice_began = outer

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            began = self._slice_began
            if began is None or time.monotonic() - began < self._every:
                continue
            if time.monotonic() - began > LONGEST_SLICE_SECONDS:
                log.error("a slice takes too long, its lease is no longer renewed")
                return
            try:
                self._renew()
            except LeaseLost:
                return  # the step loop will find out
            except UNREACHABLE:
                continue
