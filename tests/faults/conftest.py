"""Worlds to break: databases with audit triggers, and the service around them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.common.settings import Settings
from service.store.connections import make_engine
from tests.faults import audit
from tests.faults.clusters import Cluster
from tests.faults.world import World, make_audited_database

# A service takes seconds to start, so all tests of one kind of database share one, in one process.
KINDS = [
    pytest.param(kind, marks=pytest.mark.xdist_group(f"faults on {kind}"))
    for kind in ("sqlite", "postgres")
]


@pytest.fixture
def audited(database: str) -> str:
    """The address of an empty database whose triggers record what must never happen."""
    engine = make_engine(Settings(database_url=database), "migrate")
    audit.install(engine)
    engine.dispose()
    return database


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Postgres cluster that may be killed and started again."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session", params=KINDS)
def shared_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp(f"world-{request.param}")
    cluster = request.getfixturevalue("cluster") if request.param == "postgres" else None
    with World(folder, make_audited_database(folder, cluster), cluster=cluster) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    """A running service without jobs, whatever the last test has done to it."""
    shared_world.start()
    shared_world.accepted.clear()
    shared_world.points.clear()
    with shared_world.sessions.begin() as session:
        audit.set_clock(session, 0.0)
    return shared_world
