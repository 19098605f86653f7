"""Whose turn it is: the owner who has the fewest running jobs, and of that one the oldest job.

Of several such owners it is the one whom the worker has served longest ago.

So ten thousand queued jobs of one owner delay nobody else's first by more than the job that just
runs. Both questions cost a few look-ups in an index for each owner that waits, however many jobs
they have queued.
"""

from __future__ import annotations

from sqlalchemy import func, select, text
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
# Those with the fewest; the one whose job has been queued for longest comes first. A job that has
# given way is queued anew.
_NEXT = text(
    f"{_WAITING} SELECT jobs.id, turn.owner FROM turn "  # nosec B608 - no value of a request
    "JOIN jobs ON jobs.pk = turn.pk WHERE turn.running = (SELECT min(running) FROM turn) "
    "AND turn.running < :most ORDER BY jobs.updated_at, turn.pk"
)
_OTHERS_ARE_DUE = text(
    f"{_WAITING} SELECT 1 FROM turn "  # nosec B608 - no value of a request
    "WHERE turn.owner <> :owner AND turn.running < :most AND turn.running < "
    "(SELECT count(*) FROM jobs WHERE state = 'running' AND jobs.owner = :owner) LIMIT 1"
)


# Held until the transaction ends: a claim takes milliseconds.
_ONE_CLAIM_AT_A_TIME = select(func.pg_advisory_xact_lock(func.hashtextextended("claims", 0)))
NO_LIMIT = 2**31 - 1


class Served:
    """When the jobs of each owner were last taken, by one worker process.

    A process that trains one job at a time finds nobody with a running job whenever it is free: by
    the age of the jobs alone, ten thousand older ones would all be trained before a new one.
    """

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        self._count = 0

    def note(self, owner: str) -> None:
        """A job of the owner was taken just now."""
        self._count += 1
        self._turns[owner] = self._count

    def last(self, owner: str) -> int:
        """The larger, the later; 0 where the process has never taken one."""
        return self._turns.get(owner, 0)


def next_id(session: Session, served: Served | None = None, most: int = 0) -> str | None:
    """The id of the job to train next; None when nothing is queued, or nobody may have more.

    Of owners with equally many running jobs, the one who was served longest ago comes first. `most`
    is the limit of jobs that an owner may have running; 0 is none. With a limit, claims wait for
    each other, so that two do not exceed it together.
    """
    if most and session.get_bind().dialect.name == "postgresql":
        session.execute(_ONE_CLAIM_AT_A_TIME)
    waiting = session.execute(_NEXT, {"most": most or NO_LIMIT}).all()
    if not waiting:
        return None
    past = served or Served()
    id: str = min(waiting, key=lambda row: past.last(row.owner)).id
    return id


def others_are_due(session: Session, owner: str, most: int = 0) -> bool:
    """Whether somebody waits who has fewer running jobs than this owner, and may have more."""
    values = {"owner": owner, "most": most or NO_LIMIT}
    return session.scalar(_OTHERS_ARE_DUE, values) is not None
