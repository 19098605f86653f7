"""Requests that arrive twice, at the same time, or whose process dies in the middle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import func, select

from service.store.tables import Job
from tests.faults.specs import make_spec
from tests.faults.world import World
from tests.processes import children, until


def test_f16_fifty_posts_with_one_key_make_one_job(world: World) -> None:
    spec = make_spec(seed=16)
    with world.sessions.begin() as session:
        before = session.scalar(select(func.count()).select_from(Job))

    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda _: world.post(spec, **{"Idempotency-Key": "fifty"}), range(50))
        )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    with world.sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == before + 1
    world.assert_kept()


def test_f17_an_api_that_dies_between_commit_and_publish_keeps_its_job(world: World) -> None:
    spec = make_spec(seed=17)
    key = {"Idempotency-Key": "dies"}
    world.points.arm("create.committed", "kill")

    with pytest.raises(httpx.TransportError):
        world.post(spec, **key)

    [pid] = world.points.taken("create.committed")
    until(lambda: pid not in children(world.api.pid), 10, "gunicorn has noticed")
    world.await_api()
    with world.sessions.begin() as session:
        stored = session.scalars(select(Job).order_by(Job.pk.desc()).limit(1)).one()
    # Only recovery knows of the job.
    world.await_state(stored.id, "succeeded")
    again = world.post(spec, **key)
    assert (again.status_code, again.json()["id"]) == (201, stored.id)
    world.assert_kept()
