"""A long history thinned to the points that matter when it is drawn.

Largest-Triangle-Three-Buckets (Sveinn Steinarsson, "Downsampling Time Series for Visual
Representation", University of Iceland 2013) chooses them by the loss. It needs every point in
memory, which for a million rows takes seconds; above 50,000 rows the database first reduces
each of some thousand ranges of steps to its smallest and its largest loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Row, bindparam, func, select, text
from sqlalchemy.orm import Session

from service.store import history
from service.store.tables import History, OwnedKey

Floats = npt.NDArray[np.float64]

IN_MEMORY_ROWS = 50_000
MIN_RANGES = 1_000

PICKS = 256
"""How many steps one statement locates. Its text is always the same: SQLAlchemy keeps every text
that it has compiled, and one with two names per point takes megabytes."""


def thinned(
    session: Session, job_key: OwnedKey, *, after_step: int, max_points: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """At most `max_points` (≥ 3) of the rows that `history.read` gives, the ends among them."""
    here = {"job": job_key, "after": after_step}
    with _walking_along_the_key(session):
        rows, first, last = session.execute(_EXTENT, here).one()
    if rows <= max_points:
        return history.read(session, job_key, after_step=after_step, limit=max_points)
    if rows <= IN_MEMORY_ROWS:
        points = _array(session.execute(_POINTS, here).all())
        points = points[np.isfinite(points[:, 1])]
        steps = points[lttb(points, max_points)[1:-1], 0].astype(int).tolist()
    else:
        with _walking_along_the_key(session):
            steps = _by_ranges(session, job_key, first, last, max_points)
    return session.execute(_AT, {"job": job_key, "steps": [first, *steps, last]}).all()


def lttb(points: Floats, wanted: int) -> npt.NDArray[np.intp]:
    """The indices of at most `wanted` (≥ 3) points to draw of rows (x, y) in order of x.

    The first and the last stay. Of each of `wanted` - 2 equal runs between them it takes the
    point that makes the largest triangle with the point taken before and the mean of the next
    run.
    """
    if len(points) <= wanted:
        return np.arange(len(points))
    edges = np.linspace(1, len(points) - 1, wanted - 1).astype(int)
    means = np.add.reduceat(points[:-1], edges[:-1]) / np.diff(edges)[:, None]
    chosen = [0]
    for start, end, after in zip(edges, edges[1:], [*means[1:], points[-1]], strict=False):
        run, before = points[start:end], points[chosen[-1]]
        area = np.abs(
            (before[0] - after[0]) * (run[:, 1] - before[1])
            - (before[0] - run[:, 0]) * (after[1] - before[1])
        )
        chosen.append(start + np.argmax(area))
    return np.array([*chosen, len(points) - 1])


@contextmanager
def _walking_along_the_key(session: Session) -> Iterator[None]:
    """Keeps Postgres from making a bitmap of every range, which takes three times as long.

    Without this it does so until it has statistics of the new rows.
    """
    if session.get_bind().dialect.name != "postgresql":
        yield
        return
    session.execute(text("SET LOCAL enable_bitmapscan = off"))
    yield
    session.execute(text("SET LOCAL enable_bitmapscan TO DEFAULT"))


def _by_ranges(
    session: Session, job_key: OwnedKey, first: int, last: int, wanted: int
) -> list[int]:
    """Steps to draw between `first` and `last`, from the extremes of ranges of steps."""
    width = -(-(last - first + 1) // max(MIN_RANGES, wanted))
    statement = _RANGES[session.get_bind().dialect.name]
    here = {"job": job_key, "first": first, "last": last, "width": width}
    ranges = _array(session.execute(statement, here).all())
    ranges = ranges[np.isfinite(ranges).all(axis=1)]
    # Where in its range an extreme stands makes no visible difference to the choice.
    low = np.column_stack([ranges[:, 0] + width / 3, ranges[:, 1]])
    high = np.column_stack([ranges[:, 0] + width * 2 / 3, ranges[:, 2]])
    extremes = np.stack([low, high], axis=1).reshape(-1, 2)
    chosen = lttb(extremes, wanted)[1:-1]
    starts = ranges[chosen // 2, 0].astype(int).tolist()
    return _locate(session, job_key, width, starts, extremes[chosen, 1].tolist())


def _locate(
    session: Session, job_key: OwnedKey, width: int, starts: list[int], losses: list[float]
) -> list[int]:
    """The first step with this loss in each range that begins at this start."""
    steps: list[int] = []
    for i in range(0, len(starts), PICKS):
        # Always as many as the statement has places; the last pick is asked for again.
        some = [*zip(starts[i : i + PICKS], losses[i : i + PICKS], strict=True)]
        some += some[-1:] * (PICKS - len(some))
        # Bound as numbers: a loss that went through text need not be equal any more.
        given: dict[str, Any] = {"job": job_key, "width": width}
        for k, (start, loss) in enumerate(some):
            given |= {f"s{k}": start, f"l{k}": loss}
        steps += session.scalars(_LOCATE, given)
    return steps


def _array(rows: Sequence[Row[*tuple[Any, ...]]]) -> Floats:
    # NumPy would ask each Row for attributes that it does not have.
    return np.array([tuple(row) for row in rows], np.float64)


_SELECTED = (History.job == bindparam("job"), History.step > bindparam("after"))

# Counting stops where the count no longer matters. The ends are two look-ups in the key.
_EXTENT = select(
    select(func.count())
    .select_from(select(History.step).where(*_SELECTED).limit(IN_MEMORY_ROWS + 1).subquery())
    .scalar_subquery(),
    select(func.min(History.step)).where(*_SELECTED).scalar_subquery(),
    select(func.max(History.step)).where(*_SELECTED).scalar_subquery(),
)
_POINTS = select(History.step, History.loss).where(*_SELECTED).order_by(History.step)
_AT = (
    select(*(History.__table__.c[name] for name in history.MEASURES))
    .where(History.job == bindparam("job"), History.step.in_(bindparam("steps", expanding=True)))
    .order_by(History.step)
)

# Grouping by step / width would make SQLite sort a million rows; looking each range up by the
# key does not. Postgres looks at each row once; SQLite, without LATERAL, twice.
_RANGES = {
    "sqlite": text(
        """
        WITH RECURSIVE bucket (low) AS (
            SELECT :first UNION ALL SELECT low + :width FROM bucket WHERE low + :width <= :last
        )
        SELECT low,
            (SELECT min(loss) FROM history
             WHERE job = :job AND step >= low AND step < low + :width),
            (SELECT max(loss) FROM history
             WHERE job = :job AND step >= low AND step < low + :width)
        FROM bucket
        """
    ),
    "postgresql": text(
        """
        SELECT low, extremes.*
        FROM generate_series(
            CAST(:first AS integer), CAST(:last AS integer), CAST(:width AS integer)
        ) AS low,
        LATERAL (
            SELECT min(loss), max(loss) FROM history
            WHERE job = :job AND step >= low AND step < low + :width
                AND loss < 'Infinity'  -- as NaN is not, which would be the largest of all
        ) AS extremes
        """
    ),
}
_PLACES = ", ".join(
    f"(CAST(:s{k} AS INTEGER), CAST(:l{k} AS DOUBLE PRECISION))" for k in range(PICKS)
)
_LOCATE = text(
    f"""
    WITH pick (low, value) AS (VALUES {_PLACES})
    SELECT (
        SELECT min(step) FROM history
        WHERE job = :job AND step >= low AND step < low + :width AND loss = value
    )
    FROM pick
    """  # nosec B608 - names of parameters only
)
