"""Whose turn it is: the owner who has the fewest running jobs, and of that one the oldest job.

So ten thousand queued jobs of one owner delay nobody else's first by more than the job that just
runs. Both questions cost a few look-ups in an index for each owner that waits, however many jobs
they have queued.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

# The recursion walks from owner to owner along ix_jobs_queued_owner.
_WAITING = """
    WITH RECURSIVE waiting (owner) AS (
        SELECT min(owner) FROM jobs WHERE state = 'queued'
        UNION ALL
        SELECT (SELECT min(owner) FROM jobs WHERE state = 'queued' AND jobs.owner > waiting.owner)
        FROM waiting WHERE waiting.owner IS NOT NULL
    ), turn (owner, pk, running) AS (
        SELECT owner,
            (SELECT min(pk) FROM jobs WHERE state = 'queued' AND jobs.owner = waiting.owner),
            (SELECT count(*) FROM jobs WHERE state = 'running' AND jobs.owner = waiting.owner)
        FROM waiting WHERE waiting.owner IS NOT NULL
    )
"""
# Of owners with equally many, the one whose job has been queued for longest: a job that has given
# way is queued anew.
_NEXT = text(
    f"{_WAITING} SELECT jobs.id FROM turn "  # nosec B608 - no value of a request
    "JOIN jobs ON jobs.pk = turn.pk "
    "ORDER BY turn.running, jobs.updated_at, turn.pk LIMIT 1"
)
_OTHERS_ARE_DUE = text(
    f"{_WAITING} SELECT 1 FROM turn "  # nosec B608 - no value of a request
    "WHERE turn.owner <> :owner AND turn.running < "
    "(SELECT count(*) FROM jobs WHERE state = 'running' AND jobs.owner = :owner) LIMIT 1"
)


def next_id(session: Session) -> str | None:
    """The id of the job to train next; None when nothing is queued."""
    id: str | None = session.scalar(_NEXT)
    return id


def others_are_due(session: Session, owner: str) -> bool:
    """Whether somebody waits who has fewer running jobs than this owner."""
    return session.scalar(_OTHERS_ARE_DUE, {"owner": owner}) is not None
