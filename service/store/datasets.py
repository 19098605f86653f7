"""Data sets: stored once, listed, named by jobs, deleted.

A data set is a specification (`engine.spec.datasets`) with its rows. Its bytes are a blob, which
everybody who uploads the same shares. A data set that is deleted while jobs that have ended were
trained with it is hidden, and goes with the last of them, so that they can still be replayed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NewType

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, defer

from service.common.errors import DatasetInUse, DatasetNotFound
from service.store import cursors, quotas
from service.store.clock import DATABASE_TIME
from service.store.owners import owner_of
from service.store.states import TERMINAL
from service.store.tables import Blob, Dataset, Job

DatasetKey = NewType("DatasetKey", int)
"""The key of a data set that was found among those of the session's owner."""

ID = re.compile(r"ds_[0-9a-f]{24}")
PAGES = cursors.NewestFirst(Dataset, "datasets", "ds")

# Both have the same words for it, but SQLAlchemy has no general ones.
_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def create(
    session: Session,
    *,
    name: str | None,
    kind: str,
    rows: int,
    content: bytes,
    cells: bytes | None,
    report: str,
    size: int,
    now: ColumnElement[float] = DATABASE_TIME,
) -> Dataset:
    """Stores a data set.

    Args:
        content: its specification as JSON, rows included.
        cells: the rows as float64, one after the other, the target last, so that a page of them is
            read at once; None where a generator makes them.
        report: what was read, as JSON, so that nobody has to read it again to know.
        size: the bytes with which `service.store.quotas` has charged its owner.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    added = _INSERTS[session.get_bind().dialect.name](Blob.__table__).values(
        sha256=sha256, data=content, cells=cells
    )
    # Written also where it is there already: the row is locked, so that it does not go with the
    # last other data set that has it before this one is stored.
    session.execute(added.on_conflict_do_update(index_elements=["sha256"], set_={"sha256": sha256}))
    made: Dataset = session.scalars(
        _insert(now),
        {
            "id": f"ds_{secrets.token_hex(12)}",
            "owner": owner_of(session),
            "name": name,
            "kind": kind,
            "rows": rows,
            "blob": sha256,
            "size": size,
            "report": report,
        },
    ).one()
    return made


def get(session: Session, id: str) -> Dataset:
    """The data set, without its rows.

    Raises:
        DatasetNotFound: no data set has this id, which may be any text.
    """
    return _found(session, id)


def content(session: Session, id: str) -> bytes:
    """The specification of a data set as JSON, rows included.

    Raises:
        DatasetNotFound: no data set has this id, which may be any text.
    """
    return session.scalars(_CONTENT, {"of_pk": _found(session, id).pk}).one()


def cells(session: Session, dataset: Dataset, start: int, length: int) -> bytes | None:
    """`length` bytes of the rows from the byte `start` on; None where a generator makes them."""
    part: bytes | None = session.execute(
        _CELLS, {"of_pk": dataset.pk, "start": start + 1, "length": length}
    ).scalar_one()
    return part


def content_of_job(session: Session, dataset_key: int | None) -> bytes | None:
    """The same of the data set that a job names in its row; None where it names none."""
    if dataset_key is None:
        return None
    return session.scalars(_CONTENT, {"of_pk": dataset_key}).one()


def hold(session: Session, id: str) -> DatasetKey:
    """The key for a job's row; the data set is not deleted before the end of the transaction.

    Raises:
        DatasetNotFound: no data set has this id.
    """
    found = _found(session, id, lock={"read": True, "key_share": True})
    return DatasetKey(found.pk)


class Page(NamedTuple):
    """Data sets, newest first, without their reports; where the next page starts."""

    items: Sequence[Dataset]
    next_cursor: str | None


def page(
    session: Session, *, limit: int, cursor: str | None = None, name: str | None = None
) -> Page:
    """A page of the data sets, of this name if it is given, newest first.

    Raises:
        InvalidCursor: `cursor` is not one that a page gave.
    """
    query = (
        select(Dataset)
        .options(defer(Dataset.report, raiseload=True))
        .where(Dataset.deleted_at.is_(None))
        .order_by(*PAGES.order)
    )
    if cursor is not None:
        query = query.where(PAGES.after(cursor))
    if name is not None:
        query = query.where(Dataset.name == name)
    # One more than asked for tells whether there is a next page.
    items = session.scalars(query.limit(limit + 1)).all()
    next_cursor = PAGES.cursor(items[limit - 1]) if len(items) > limit else None
    return Page(items[:limit], next_cursor)


def delete_dataset(session: Session, id: str, *, now: ColumnElement[float] = DATABASE_TIME) -> None:
    """Deletes a data set; its rows stay as long as jobs that have ended were trained with them.

    Raises:
        DatasetNotFound: no data set has this id.
        DatasetInUse: a job that has not ended needs it.
    """
    found = _found(session, id, lock={})
    job_id = session.scalars(_UNFINISHED, {"of_dataset": found.pk}).first()
    if job_id is not None:
        raise DatasetInUse(id, job_id)
    session.execute(_hide(now), {"of_pk": found.pk})
    release(session, found.pk)


def lock(session: Session, dataset_key: int | None) -> None:
    """Keeps other transactions from the data set of a job that is to be deleted.

    Of two that delete its last jobs, the second waits here, and then removes it.
    """
    session.execute(_LOCK, {"of_pk": dataset_key})


def release(session: Session, dataset_key: int | None) -> None:
    """Removes a data set that was deleted, once no job names it, and its bytes if nobody else has
    them. To be called after a job that named it is gone, with the data set locked.
    """
    removed = session.execute(_REMOVE, {"of_pk": dataset_key}).one_or_none()
    if removed is not None:
        quotas.give_back_dataset(session, removed.owner, removed.size)
        # In two statements, because the second one has to see what the first has waited for.
        session.execute(_LOCK_BLOB, {"of_sha256": removed.blob})
        session.execute(_REMOVE_BLOB, {"of_sha256": removed.blob})


def _found(session: Session, id: str, lock: dict[str, Any] | None = None) -> Dataset:
    # A text that cannot be an id is not looked up: Postgres takes a NUL in it as an error.
    query = _GET if lock is None else _GET.with_for_update(**lock)
    found = session.scalars(query, {"of_id": id}).one_or_none() if ID.fullmatch(id) else None
    if found is None:
        raise DatasetNotFound(id)
    return found


_GET = select(Dataset).where(Dataset.id == bindparam("of_id"), Dataset.deleted_at.is_(None))
_CONTENT = (
    select(Blob.data)
    .join(Dataset, Dataset.blob == Blob.sha256)
    .where(Dataset.pk == bindparam("of_pk"))
)
_CELLS = (
    select(func.substr(Blob.cells, bindparam("start"), bindparam("length"), type_=LargeBinary()))
    .join(Dataset, Dataset.blob == Blob.sha256)
    .where(Dataset.pk == bindparam("of_pk"))
)
_UNFINISHED = (
    select(Job.id)
    .where(Job.dataset == bindparam("of_dataset"), Job.state.not_in(sorted(TERMINAL)))
    .order_by(Job.pk)
    .limit(1)
)
_datasets = Dataset.__table__.c
_blobs = Blob.__table__.c
_LOCK = select(_datasets.pk).where(_datasets.pk == bindparam("of_pk")).with_for_update()
_REMOVE = (
    delete(Dataset.__table__)
    .where(
        _datasets.pk == bindparam("of_pk"),
        _datasets.deleted_at.is_not(None),
        ~exists().where(Job.__table__.c.dataset == _datasets.pk),
    )
    .returning(_datasets.owner, _datasets.size, _datasets.blob)
)
_LOCK_BLOB = select(_blobs.sha256).where(_blobs.sha256 == bindparam("of_sha256")).with_for_update()
_REMOVE_BLOB = delete(Blob.__table__).where(
    _blobs.sha256 == bindparam("of_sha256"), ~exists().where(_datasets.blob == _blobs.sha256)
)


@lru_cache(maxsize=16)
def _insert(now: ColumnElement[float]) -> Any:
    return insert(Dataset).values(created_at=now).returning(Dataset)


@lru_cache(maxsize=16)
def _hide(now: ColumnElement[float]) -> Any:
    return (
        update(Dataset.__table__).where(_datasets.pk == bindparam("of_pk")).values(deleted_at=now)
    )
