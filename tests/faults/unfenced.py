"""The negative control: claims whose condition of ownership has been taken away.

A suite that still passes with these would prove nothing. Production code has no switch for it:
the statements are rebuilt here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Integer, bindparam, select

from service.store import claim_statements

# `fence`: any running claim may write, as long as it is at the job's step. `guard`: anybody may.
WAYS = ("fence", "guard")

CACHED = (
    "progress",
    "progress_with_measures",
    "progress_with_best",
    "renew",
    "succeed",
    "fail",
    "release",
)


def remove(without: str) -> None:
    """Takes the condition out of every statement of this process."""
    jobs = claim_statements.jobs
    always = bindparam("of_fence", type_=Integer()) == bindparam("of_fence", type_=Integer())
    held: tuple[Any, ...] = (jobs.pk == bindparam("of_pk"), always)
    if without == "fence":
        held = (*held, jobs.state == "running")
    claim_statements.HELD = held
    claim_statements.DESIRED_STATE = select(jobs.desired_state).where(*held)
    for name in CACHED:
        getattr(claim_statements, name).cache_clear()


@contextmanager
def claims_without(without: str) -> Iterator[None]:
    """Removes the condition, and puts it back."""
    kept = claim_statements.HELD, claim_statements.DESIRED_STATE
    remove(without)
    try:
        yield
    finally:
        claim_statements.HELD, claim_statements.DESIRED_STATE = kept
        for name in CACHED:
            getattr(claim_statements, name).cache_clear()
