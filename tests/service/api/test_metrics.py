"""/metrics, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from service.api.app import create_app
from service.common.settings import Settings
from service.store import recovery
from service.store.claims import Claim
from service.store.tables import Job
from tests.service.lifecycle import finish

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def figures(client: FlaskClient) -> Figures:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def jobs(found: Figures, state: str) -> float:
    return found["gradserve_jobs", (("state", state),)]


def test_jobs_are_counted_by_state_and_leases_as_they_are_lost(
    client: FlaskClient,
    sessions: sessionmaker[Session],
    spec: JobSpec,
    submit: Callable[[], str],
    claim: Callable[..., Claim],
) -> None:
    before = figures(client)
    assert jobs(before, "queued") == jobs(before, "succeeded") == 0
    assert before["gradserve_oldest_queued_job_seconds", ()] == 0
    assert before["gradserve_leases_lost_total", ()] == 0

    finish(sessions, claim(), spec)
    claim(lease=-1)
    submit()
    with sessions.begin() as session:
        recovery.free_lost_leases(session, lease_seconds=20)
        # A job waits since it was queued last, however old it is.
        session.execute(update(Job).values(created_at=Job.created_at - 3600))

    after = figures(client)
    assert (jobs(after, "queued"), jobs(after, "running"), jobs(after, "succeeded")) == (2, 0, 1)
    assert 0 < after["gradserve_oldest_queued_job_seconds", ()] < 60
    assert after["gradserve_leases_lost_total", ()] == 1
    assert after["gradserve_database_up", ()] == 1


def test_the_leases_of_deleted_jobs_stay_counted(
    client: FlaskClient, sessions: sessionmaker[Session], claim: Callable[..., Claim]
) -> None:
    """A counter that falls is a restart to Prometheus."""
    lost = claim(lease=-1)
    for _ in range(2):
        with sessions.begin() as session:
            recovery.free_lost_leases(session, lease_seconds=20)
        claim(lost.id, lease=-1)
    with sessions.begin() as session:
        recovery.free_lost_leases(session, lease_seconds=20)
    assert figures(client)["gradserve_leases_lost_total", ()] == 3
    assert client.delete(f"/v1/jobs/{lost.id}").status_code == 204
    assert figures(client)["gradserve_leases_lost_total", ()] == 3


def test_requests_are_counted_by_route_not_by_path(
    client: FlaskClient, moons: dict[str, Any]
) -> None:
    created = client.post("/v1/jobs", json=moons).json
    assert created is not None
    client.get(f"/v1/jobs/{created['id']}")
    client.get("/v1/jobs/job_000000000000000000000000")
    client.get("/nowhere/1")
    client.open("/nowhere/2", method="BREW")

    found = figures(client)
    route = "/v1/jobs/{id}"

    def requests(method: str, route: str, status: int) -> float:
        labels = (("method", method), ("route", route), ("status", str(status)))
        return found["gradserve_http_requests_total", labels]

    assert requests("POST", "/v1/jobs", 201) == 1
    assert requests("GET", route, 200) == requests("GET", route, 404) == 1
    assert requests("GET", "none", 404) == requests("other", "none", 404) == 1
    took = found["gradserve_http_request_seconds_count", (("method", "GET"), ("route", route))]
    assert took == 2


def test_a_database_that_is_away_is_a_figure_and_no_error() -> None:
    settings = Settings(auth="off", database_url="postgresql://nobody@127.0.0.1:1/gradserve")
    app = create_app(settings)
    with app.test_client() as client:
        found = figures(client)
    app.extensions["gradserve"].close()

    assert found["gradserve_database_up", ()] == 0
    assert not any(name == "gradserve_jobs" for name, _ in found)
