"""What jobs and artifacts share: rows that wait for a worker, and leases of those that have one.

Each is one statement that compares and sets, so that two recoveries at once do no harm.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, Update, bindparam, or_, select, update
from sqlalchemy.orm import Session

from service.store.publishing import publish_after_commit

# A clock may be set back by this much, as time servers do, before leases count as lost.
CLOCK_SLACK_SECONDS = 5


def lost(row: Any, now: ColumnElement[float]) -> ColumnElement[bool]:
    """Whether the lease has run out, of the length `lease_seconds`.

    A lease that ends later than one given now was given by a clock that has been set back since,
    and counts as run out too.
    """
    latest = now + bindparam("lease_seconds") + CLOCK_SLACK_SECONDS
    return or_(row.lease_until < now, row.lease_until > latest)


def quiet(row: Any, now: ColumnElement[float]) -> ColumnElement[bool]:
    """Whether the row had no message within `republish_seconds`."""
    return or_(
        row.published_at.is_(None),
        row.published_at < now - bindparam("republish_seconds"),
        row.published_at > now + CLOCK_SLACK_SECONDS,
    )


def oldest(table: Table, *conditions: ColumnElement[bool]) -> Update:
    """An update of the oldest `at_most` rows that meet the conditions.

    On Postgres it skips rows that another transaction is changing, and checks the conditions
    again for rows that it waited for; the next pass finds what is left.
    """
    chosen = (
        select(table.c.pk)
        .where(*conditions)
        .order_by(table.c.pk)
        .limit(bindparam("at_most"))
        .with_for_update(skip_locked=True)
        # As a plain subquery Postgres may run it once per row, and its limit then limits nothing.
        .cte("chosen")
    )
    return update(table).where(table.c.pk.in_(select(chosen.c.pk)), *conditions)


def publish_marked(session: Session, statement: Any, values: dict[str, Any]) -> list[str]:
    """Runs a statement that marks rows as published now; returns their ids, the oldest first.

    Their messages are sent after the commit.
    """
    rows = session.execute(statement, values).all()
    ids = [row.id for row in sorted(rows, key=lambda row: row.pk)]
    publish_after_commit(session, *ids)
    return ids
