"""Checkpoints are kept as long as they are of use."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from service.store import checkpoints
from service.store.claims import Claim
from tests.service.lifecycle import advance

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
    assert checkpoints.retained_every(steps, every) == retained
    assert steps // retained <= checkpoints.MAX_RETAINED
    assert retained % every == 0
