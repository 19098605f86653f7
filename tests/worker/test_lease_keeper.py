"""The thread that renews a lease during long work."""

from __future__ import annotations

import threading
import time

from worker.lease_keeper import LeaseKeeper


def test_what_takes_long_renews_the_lease() -> None:
    beats = threading.Semaphore(0)
    with LeaseKeeper(beats.release, every=0.01) as pulse:
        assert pulse.during(lambda: beats.acquire(timeout=10) and beats.acquire(timeout=10))


def test_a_slow_slice_renews_the_lease() -> None:
    beats = threading.Semaphore(0)
    with LeaseKeeper(beats.release, every=0.01) as pulse:
        slices = (beats.acquire(timeout=10) for _ in range(2))
        assert [*pulse.watch(slices)] == [True, True]


def test_nothing_renews_the_lease_between_slices() -> None:
    renewed: list[float] = []
    with LeaseKeeper(lambda: renewed.append(time.monotonic()), every=0.01) as pulse:
        for _ in pulse.watch(iter(range(3))):
            time.sleep(0.1)
    assert renewed == []
