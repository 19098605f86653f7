"""Checkpoints are kept as long as they are of use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.store import checkpoints, claims, controls, recovery
from service.store.claims import Claim
from service.store.states import FRUITLESS_CLAIMS
from service.store.tables import Job
from tests.service.lifecycle import LEASE, advance, finish, job

Sessions = sessionmaker[Session]


def kept(sessions: Sessions, claim: Claim) -> list[int]:
    with sessions.begin() as session:
        return [checkpoint.step for checkpoint in checkpoints.newest_first(session, claim.pk)]


def test_the_newest_two_are_kept_and_the_retained_ones(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held, other = claim(), claim()
    advance(sessions, other, 0, 1)
    for step in range(8):
        advance(sessions, held, step, step + 1, retained=step + 1 in (2, 4))
    assert kept(sessions, held) == [8, 7, 4, 2]
    assert kept(sessions, other) == [1]


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_next(
    sessions: Sessions, claim: Callable[..., Claim]
) -> None:
    held = claim()
    advance(sessions, held, 0, 4)
    advance(sessions, held, 4, 8)
    with sessions.begin() as session:
        session.execute(
            text("UPDATE checkpoints SET data = :data WHERE step = 8"), {"data": b"state 9"}
        )
    with sessions.begin() as session:
        found = list(checkpoints.newest_first(session, held.pk))
    assert [(checkpoint.step, checkpoint.intact) for checkpoint in found] == [(8, False), (4, True)]


@pytest.mark.parametrize(
    ("steps", "every", "retained"),
    [(100, 2, 2), (10_000, 200, 200), (1_000, 1, 5), (1_001, 1, 6), (10, 100, 100), (400, 2, 2)],
)
def test_at_most_200_are_retained_evenly(steps: int, every: int, retained: int) -> None:
    plenty = {"bytes_each": 1000, "bytes_per_job": 1_000_000}
    assert checkpoints.retained_every(steps, every, **plenty) == retained
    assert steps // retained <= checkpoints.MAX_RETAINED
    assert retained % every == 0


@pytest.mark.parametrize("bytes_each", [1, 300, 1_000, 9_000, 24_999, 25_001, 60_000])
@pytest.mark.parametrize(("steps", "every"), [(100, 1), (1_000, 7), (50, 50), (3, 1)])
def test_the_checkpoints_of_a_job_stay_within_their_bytes(
    bytes_each: int, steps: int, every: int
) -> None:
    room = 100_000
    found = checkpoints.retained_every(steps, every, bytes_each=bytes_each, bytes_per_job=room)
    if found is None:
        assert 4 * bytes_each > room  # no room for one beside step 0 and the newest two
    else:
        assert found % every == 0
        retained = len(range(0, steps + 1, found))
        assert (retained + 2) * bytes_each <= room or retained + 2 <= 4


@pytest.mark.parametrize("end", ["fail", "cancel_running", "cancel_paused", "lost", "cancel_late"])
def test_a_job_that_failed_or_was_cancelled_keeps_its_newest_checkpoint(
    sessions: Sessions, spec: JobSpec, claim: Callable[..., Claim], end: str
) -> None:
    held, other = claim(), claim()
    for step in range(4):
        advance(sessions, held, step, step + 1, retained=True)
        advance(sessions, other, step, step + 1, retained=True)
    with sessions.begin() as session:
        if end == "fail":
            claims.fail(session, held, code="internal", detail="broken")
        elif end == "cancel_paused":
            controls.request_pause(session, held.id)
            claims.release(session, held)
            controls.request_cancel(session, held.id)
        elif end == "lost":
            session.execute(
                update(Job).where(Job.pk == held.pk).values(fruitless_claims=FRUITLESS_CLAIMS)
            )
            session.execute(update(Job).where(Job.pk == held.pk).values(lease_until=1.0))
            recovery.free_lost_leases(session, lease_seconds=LEASE)
        else:
            controls.request_cancel(session, held.id)
            if end == "cancel_running":
                claims.release(session, held)
    if end == "cancel_late":
        assert finish(sessions, replace(held, step=4), spec) == "cancelled"
    assert job(sessions, held.id).state in ("failed", "cancelled")
    assert kept(sessions, held) == [4]
    assert kept(sessions, other) == [4, 3, 2, 1]
