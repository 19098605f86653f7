"""What each model remembers of its data: columns, features, scaling, classes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from engine.data.preprocessing import Preprocessing
from service.store.tables import ModelPreprocessing, OwnedKey

_TABLE = ModelPreprocessing.__table__
# Both have the same words for it, but SQLAlchemy has no general ones.
_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def store(session: Session, job_key: OwnedKey, document: str) -> None:
    """Stores it with a job, unless a claim before has done so.

    Call it after a statement of the claim in the same transaction, which holds the job's row.
    """
    insert = _INSERTS[session.get_bind().dialect.name](_TABLE)
    session.execute(insert.on_conflict_do_nothing(), {"job": job_key, "document": document})


def find(session: Session, job_key: OwnedKey) -> Preprocessing | None:
    """What the model of a job remembers.

    None where its training has not begun, or began before this was stored: it can be made again
    from the specification.
    """
    document = session.scalars(_FIND, {"of_job": job_key}).one_or_none()
    return None if document is None else Preprocessing.from_json(document)


_FIND = select(_TABLE.c.document).where(_TABLE.c.job == bindparam("of_job"))
