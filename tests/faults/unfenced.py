"""The negative control: claims without their condition of ownership.

A suite that still passes with these claims would prove nothing. Production code has no switch for
this, so the statements are rebuilt here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Integer, bindparam, select

from service.store import claim_statements

# `fence`: any claim may write to a running job if it is at the job's step. `guard`: any may write.
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
    """Removes the condition from every statement of this process."""
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
