"""The loss history: written in bulk, read in pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Row, bindparam, case, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.store.tables import History, OwnedKey

if TYPE_CHECKING:
    from engine.train import HistoryRow

COLUMNS = tuple(column.name for column in History.__table__.columns)
MEASURES = COLUMNS[1:]  # those of engine.train.HistoryRow in its order, then elapsed_seconds

_NAMES = ", ".join(COLUMNS)
_COPY = f"COPY history ({_NAMES}) FROM STDIN"
_MARKS = ", ".join("?" * len(COLUMNS))
_INSERT = f"INSERT INTO history ({_NAMES}) VALUES ({_MARKS})"  # nosec B608 - our own names


def insert_rows(
    session: Session, job_key: OwnedKey, rows: Sequence[HistoryRow], elapsed: Sequence[float]
) -> None:
    """Writes rows in the database's fastest way; a step that is stored already is an error.

    `elapsed` is the time in seconds that training had taken when each row's step was finished.
    """
    if not rows:
        return
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        # Plain tuples to the driver: building statements would cost more than the inserts.
        connection.exec_driver_sql(
            _INSERT, [(job_key, *row, at) for row, at in zip(rows, elapsed, strict=True)]
        )
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row, at in zip(rows, elapsed, strict=True):
                copy.write_row((job_key, *row, at))
    except psycopg.Error as error:
        # The driver was used directly, so its errors are wrapped as SQLAlchemy would wrap them.
        raise DBAPIError.instance(
            _COPY, None, error, psycopg.Error, dialect=connection.dialect
        ) from error


def read(
    session: Session, job_key: OwnedKey, *, after_step: int, limit: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Rows (step, loss, accuracy, …) of the logged steps after `after_step`, in order."""
    return session.execute(_READ, {"job": job_key, "after": after_step, "limit": limit}).all()


def best(session: Session, job_key: OwnedKey) -> Row[*tuple[Any, ...]] | None:
    """The stored row of the best step: by validation loss where there is one, else by loss.

    The earliest of equal ones; None where no row has a number to compare.
    """
    row = session.execute(_BEST, {"job": job_key}).one_or_none()
    compared = None if row is None else finite(row[1] if row[3] is None else row[3])
    return None if compared is None else row


def at(session: Session, job_key: OwnedKey, step: int) -> Row[*tuple[Any, ...]] | None:
    """The row of a step; None where it was not logged."""
    return session.execute(_ONE, {"job": job_key, "step": step}).one_or_none()


def finite(value: float | None) -> float | None:
    """The number, or None where JSON has no number for it."""
    return value if value is not None and math.isfinite(value) else None


# A missing validation loss is one that is not a number, or that of a job without validation.
_BEST = (
    select(*(History.__table__.c[name] for name in MEASURES))
    .where(History.job == bindparam("job"))
    .order_by(
        History.validation_loss.is_(None),
        History.validation_loss,
        case((History.validation_loss.is_(None), History.loss)).asc().nulls_last(),
        History.step,
    )
    .limit(1)
)
_READ = (
    select(*(History.__table__.c[name] for name in MEASURES))
    .where(History.job == bindparam("job"), History.step > bindparam("after"))
    .order_by(History.step)
    .limit(bindparam("limit"))
)
_ONE = select(*(History.__table__.c[name] for name in MEASURES)).where(
    History.job == bindparam("job"), History.step == bindparam("step")
)
