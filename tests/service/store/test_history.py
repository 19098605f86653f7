"""The loss history: written once, read in order, thinned for drawing."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from engine.training.state import HistoryRow
from service.store import downsampling, history
from tests.service.lifecycle import rows

Sessions = sessionmaker[Session]

JOB = 7


def write(sessions: Sessions, written: list[HistoryRow], job: int = JOB) -> None:
    with sessions.begin() as session:
        history.insert_rows(session, job, written, [0.0] * len(written))


def read(sessions: Sessions, **options: int) -> list[tuple[object, ...]]:
    with sessions.begin() as session:
        found = history.read(session, JOB, **({"after_step": -1, "limit": 1000} | options))
        return [tuple(row)[:-1] for row in found]  # without elapsed_seconds


def test_rows_are_read_with_the_same_bits(sessions: Sessions) -> None:
    written = [HistoryRow(3, 0.1 + 0.2, 1 / 3, 5e-324, None, 1.7976931348623157e308, -0.0)]
    write(sessions, written)
    assert read(sessions) == written


def test_rows_are_paged_by_step(sessions: Sessions) -> None:
    write(sessions, rows(0, 50))
    write(sessions, rows(50, 100))
    write(sessions, rows(0, 3), job=JOB + 1)
    assert [row[0] for row in read(sessions)] == list(range(100))
    assert [row[0] for row in read(sessions, after_step=9, limit=3)] == [10, 11, 12]
    assert read(sessions, after_step=99) == []


def test_a_step_is_written_once(sessions: Sessions) -> None:
    write(sessions, rows(0, 5))
    with pytest.raises(IntegrityError):
        write(sessions, rows(4, 6))
    assert len(read(sessions)) == 5


def test_numbers_that_are_not_finite_do_not_break_the_table(sessions: Sessions) -> None:
    write(sessions, [HistoryRow(0, math.nan, None, math.inf, None, 0.1, -math.inf)])
    (row,) = read(sessions)
    assert [history.finite(value) for value in row] == [0, None, None, None, None, 0.1, None]  # type: ignore[arg-type]


def thin(sessions: Sessions, max_points: int, after_step: int = -1) -> list[HistoryRow]:
    with sessions.begin() as session:
        found = downsampling.thinned(session, JOB, after_step=after_step, max_points=max_points)
        return [HistoryRow(*row[:-1]) for row in found]


def noisy(count: int, every: int = 1) -> list[HistoryRow]:
    """A falling loss with noise, and two spikes that a drawing must show."""
    draw = random.Random(1).random
    losses = [math.exp(-4 * k / count) + 0.05 * draw() for k in range(count)]
    losses[count // 3] = 5.0
    losses[count // 2] = -5.0
    return [
        HistoryRow(k * every, loss, None, None, None, 0.1, None) for k, loss in enumerate(losses)
    ]


# Below and above the number of rows from which the database reduces them first.
@pytest.mark.parametrize(("count", "every"), [(3_000, 1), (60_000, 1), (60_000, 7)])
def test_thinned_rows_are_real_ones_and_show_the_shape(
    sessions: Sessions, count: int, every: int
) -> None:
    written = noisy(count, every)
    write(sessions, written)
    found = thin(sessions, 500)
    assert 450 <= len(found) <= 500
    assert found[0] == written[0]
    assert found[-1] == written[-1]
    assert set(found) <= set(written)
    assert [row.step for row in found] == sorted({row.step for row in found})
    assert {5.0, -5.0} <= {row.loss for row in found}


@pytest.mark.parametrize("count", [3_000, 60_000])
def test_thinning_keeps_to_what_was_asked_for(sessions: Sessions, count: int) -> None:
    written = noisy(count)
    write(sessions, written)
    assert len(thin(sessions, 3)) == 3
    late = thin(sessions, 10, after_step=count - 100)
    assert (late[0], late[-1]) == (written[count - 99], written[-1])
    assert thin(sessions, 10, after_step=count) == []


def test_statements_do_not_depend_on_how_many_points_are_asked_for(sessions: Sessions) -> None:
    # SQLAlchemy keeps every statement that it compiles. One per width of a plot would fill memory.
    write(sessions, noisy(60_000))
    engine = sessions.kw["bind"]
    thin(sessions, 300)
    kept = len(engine._compiled_cache)
    for max_points in (301, 302, 1_000):
        thin(sessions, max_points)
    assert len(engine._compiled_cache) == kept


def test_few_rows_are_not_thinned(sessions: Sessions) -> None:
    write(sessions, rows(0, 10))
    assert thin(sessions, 10) == rows(0, 10)
    assert len(thin(sessions, 9)) == 9


@pytest.mark.parametrize("count", [100, 60_000])
def test_a_constant_loss_and_gaps_in_it_are_thinned_too(sessions: Sessions, count: int) -> None:
    write(
        sessions,
        [
            HistoryRow(k, 1.0 if k % 3 else math.nan, None, None, None, 0.1, None)
            for k in range(count)
        ],
    )
    found = thin(sessions, 20)
    assert 3 <= len(found) <= 20
    assert (found[0].step, found[-1].step) == (0, count - 1)


def test_lttb_takes_the_point_of_each_run_that_stands_out() -> None:
    points = np.array([[0, 0], [1, 0], [2, 9], [3, 0], [4, 0], [5, -9], [6, 0], [7, 0]], float)
    assert downsampling.lttb(points, 4).tolist() == [0, 2, 5, 7]
    assert downsampling.lttb(points, 3).tolist()[::2] == [0, 7]
    assert downsampling.lttb(points, 8).tolist() == list(range(8))


def test_many_rows_are_written_and_drawn_quickly(sessions: Sessions) -> None:
    """The limits are far from the machine's speed, so that only a wrong algorithm fails."""
    written = noisy(120_000)
    start = time.perf_counter()
    for i in range(0, len(written), 20_000):
        write(sessions, written[i : i + 20_000])
    assert len(written) / (time.perf_counter() - start) > 20_000
    start = time.perf_counter()
    assert len(thin(sessions, 1_000)) > 900
    assert time.perf_counter() - start < 3


def test_people_can_query_it_with_sql(sessions: Sessions) -> None:
    write(sessions, rows(0, 5))
    with sessions.begin() as session:
        lowest = session.execute(
            text("SELECT step, loss FROM history WHERE job = 7 ORDER BY loss LIMIT 1")
        ).one()
    assert tuple(lowest) == (4, 0.2)


@pytest.mark.parametrize(
    ("losses", "validation", "expected"),
    [
        ([3.0, 1.0, 2.0], [None] * 3, 1),
        ([1.0, 2.0, 3.0], [3.0, 1.0, 1.0], 1),  # the earlier of two
        ([math.nan, math.inf, 5.0], [None] * 3, 2),
        ([1.0, 2.0], [math.nan, 4.0], 1),
        ([math.nan, math.inf], [None] * 2, None),
        ([], [], None),
    ],
)
def test_the_best_row_is_the_one_that_training_would_have_noted(
    sessions: Sessions,
    losses: list[float],
    validation: list[float | None],
    expected: int | None,
) -> None:
    numbers = zip(losses, validation, strict=True)
    write(
        sessions, [HistoryRow(k, a, None, b, None, 0.1, None) for k, (a, b) in enumerate(numbers)]
    )
    with sessions.begin() as session:
        found = history.best(session, JOB)
    assert (None if found is None else found[0]) == expected
