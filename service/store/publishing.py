"""What a transaction wants published: collected while it runs, sent once it is committed.

A message that leaves before its commit may reach a worker that does not see the job yet, and one
whose transaction rolls back tells of a job that never was. So no statement publishes anything:
it leaves the id of the job with its session, and `Database.write` does the rest.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

TO_PUBLISH = "job ids to publish"


def publish_after_commit(session: Session, *job_ids: str) -> None:
    """Has the messages of these jobs published if, and only when, the session is committed."""
    session.info.setdefault(TO_PUBLISH, []).extend(job_ids)


def to_publish(session: Session) -> list[str]:
    """The ids that were left with the session, in order."""
    ids: list[str] = session.info.get(TO_PUBLISH, [])
    return ids
