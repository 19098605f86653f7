"""/metrics: what Prometheus collects.

Requests are counted in this process, which is the only one of its gunicorn. Jobs are counted in
the tables at each request, so that all API processes of a service agree and a restart forgets
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from service.store import counts, everyone
from service.store.database import Database

# Up to the longest that a long poll waits.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class HttpMetrics:
    """Requests and how long they took, by method, route and status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "gradserve_http_requests_total",
            "Requests answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "gradserve_http_request_seconds",
            "Time from a request to the headers of its answer.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class JobMetrics(Collector):
    """Jobs as the tables count them; only `database_up` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("gradserve_database_up", "Whether the database answers.")
        try:
            with everyone.read(self._database) as session:
                found = counts.read(session)
        except SQLAlchemyError:
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        jobs = GaugeMetricFamily("gradserve_jobs", "Jobs by state.", labels=("state",))
        for state, number in found.jobs.items():
            jobs.add_metric((state,), number)
        yield jobs
        yield GaugeMetricFamily(
            "gradserve_oldest_queued_job_seconds",
            "How long the longest waiting job has been queued; 0 without one.",
            value=found.oldest_queued_seconds,
        )
        yield CounterMetricFamily(
            "gradserve_leases_lost",
            "Times that a job was taken from a worker whose lease ran out.",
            value=found.leases_lost,
        )

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not ask a database that may be unavailable."""
        yield from ()


def register(app: Flask, database: Database) -> HttpMetrics:
    """Serves /metrics and returns where the app counts its requests."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(JobMetrics(database))

    @app.route("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return HttpMetrics(registry)
