"""Whose rows a session sees.

A transaction of the API is opened for one owner (`service.store.database`), and two nets keep it to
that owner's rows. `restrict` adds the owner to ORM statements on the tables that have one, whoever
wrote them. The rows of a job are only read by its `OwnedKey`, which comes from a job that was found
in this way.
"""

from __future__ import annotations

from typing import Any, NewType

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria

from service.store.tables import LOCAL, Artifact, Dataset, Job, OwnedKey, OwnerTotals

__all__ = ["LOCAL", "OwnedKey", "Owner", "bind", "owner_of", "restrict"]

Owner = NewType("Owner", str)
"""The name of an owner, as the authentication of a request has established it."""

OWNER = "owner"

# The mapped tables whose rows belong to somebody.
OWNED: tuple[Any, ...] = (Job, Artifact, Dataset, OwnerTotals)


def bind(session: Session, owner: Owner) -> None:
    """Keeps the session to the rows of one owner from now on."""
    session.info[OWNER] = owner


def owner_of(session: Session) -> str:
    """The owner of what the session creates; `local` where nobody is bound, as in tests."""
    owner: str = session.info.get(OWNER, LOCAL)
    return owner


def restrict(sessions: sessionmaker[Session]) -> sessionmaker[Session]:
    """Adds the owner of a session to every ORM statement on what is owned, whoever wrote it."""

    @event.listens_for(sessions, "do_orm_execute")
    def add_owner(state: ORMExecuteState) -> None:
        owner = state.session.info.get(OWNER)
        if owner is not None and (state.is_select or state.is_update or state.is_delete):
            state.statement = state.statement.options(
                *(
                    with_loader_criteria(table, table.owner == owner, include_aliases=True)
                    for table in OWNED
                )
            )

    return sessions
