"""Nobody sends more requests per second than the setting allows, whatever becomes of the broker."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from service.api import rate_limits
from service.api.app import create_app
from service.api.rate_limits import RequestCounter, redis_url
from service.common.settings import Settings
from service.run import keys
from tests import servers

DEAD_BROKER = "redis://127.0.0.1:1/0"
Serve = Callable[..., FlaskClient]


@pytest.fixture
def settings(sqlite_database: str, broker: str) -> Settings:
    return Settings(auth="off", database_url=sqlite_database, broker_url=broker)


@pytest.fixture
def serve(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts an API with some settings changed, in a second that does not end."""
    now = time.time()
    monkeypatch.setattr(rate_limits.time, "time", lambda: now)
    apps = []

    def serve(**changes: Any) -> FlaskClient:
        apps.append(create_app(replace(settings, **changes)))
        return apps[-1].test_client()

    yield serve
    for app in apps:
        app.extensions["gradserve"].close()


def statuses(client: FlaskClient, number: int, path: str = "/v1/jobs", **options: Any) -> list[int]:
    return [client.get(path, **options).status_code for _ in range(number)]


def test_requests_beyond_the_limit_are_refused_until_the_next_second(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(max_requests_per_second=3)
    assert statuses(client, 5) == [200] * 3 + [429] * 2
    refused = client.post("/v1/jobs", json={})
    assert (refused.status_code, refused.mimetype) == (429, "application/problem+json")
    assert refused.json["type"] == "urn:gradserve:problem:too-many-requests"
    assert "at most 3 requests per second" in refused.json["detail"]
    assert refused.headers["Retry-After"] == "1"
    later = time.time() + 1
    monkeypatch.setattr(rate_limits.time, "time", lambda: later)
    assert statuses(client, 4) == [200] * 3 + [429]


@pytest.mark.parametrize("path", ["/v1/jobs", "/openapi.json", "/nothing", "/v1/jobs/x"])
def test_every_answer_tells_how_many_requests_are_left(serve: Serve, path: str) -> None:
    client = serve(max_requests_per_second=25)
    for left in (24, 23, 22, 21):
        answer = client.get(path)
        assert answer.headers["RateLimit-Policy"] == '"requests";q=25;w=1'
        assert answer.headers["RateLimit"] == f'"requests";r={left};t=1'


def test_health_checks_and_metrics_do_not_count(serve: Serve) -> None:
    client = serve(max_requests_per_second=1)
    assert statuses(client, 2) == [200, 429]
    for path in rate_limits.EXEMPT:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers


def test_zero_is_no_limit(serve: Serve) -> None:
    client = serve(max_requests_per_second=0)
    assert set(statuses(client, 50)) == {200}
    assert "RateLimit" not in client.get("/v1/jobs").headers


def test_each_address_has_its_own_limit_where_nobody_is_authenticated(serve: Serve) -> None:
    client = serve(max_requests_per_second=1)
    for address in ("10.0.0.1", "10.0.0.2"):
        assert statuses(client, 2, environ_base={"REMOTE_ADDR": address}) == [200, 429]


def test_each_owner_has_one_limit_whatever_the_key_and_the_address(
    serve: Serve, settings: Settings
) -> None:
    def key(owner: str) -> dict[str, str]:
        made = keys.create(settings, owner=owner, name="x", scopes=("read",), lifetime_seconds=None)
        return {"Authorization": f"Bearer {made}"}

    client = serve(max_requests_per_second=2, auth="keys")
    ada, other_key_of_ada, bob = key("ada"), key("ada"), key("bob")
    assert statuses(client, 2, headers=ada) == [200] * 2
    elsewhere = {"REMOTE_ADDR": "10.0.0.9"}
    assert statuses(client, 1, headers=other_key_of_ada, environ_base=elsewhere) == [429]
    assert statuses(client, 3, headers=bob) == [200, 200, 429]


def test_api_processes_count_together(serve: Serve) -> None:
    """A tenth of the limit is counted by each on its own, and brought along beyond that."""
    one, other = (serve(max_requests_per_second=20) for _ in range(2))
    assert statuses(one, 15) == [200] * 15
    assert statuses(other, 7) == [200] * 5 + [429] * 2
    assert statuses(one, 1) == [429]


def test_without_a_broker_each_process_counts_its_own(serve: Serve) -> None:
    client = serve(max_requests_per_second=3, broker_url=DEAD_BROKER)
    assert statuses(client, 5) == [200] * 3 + [429] * 2


def test_a_frozen_broker_delays_one_request_by_less_than_its_time_out() -> None:
    with servers.valkey() as broker:
        counter = RequestCounter(1000, broker.url)
        broker.process.send_signal(signal.SIGSTOP)
        waits = []
        for _ in range(400):
            began = time.monotonic()
            counter.add("ada")
            waits.append(time.monotonic() - began)
        assert sorted(waits)[-2] < 0.1
        assert max(waits) < 2 * rate_limits.COUNT_SECONDS + 0.3
        broker.process.send_signal(signal.SIGCONT)


def test_a_broker_that_is_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "AWAY_SECONDS", 0.05)
    with servers.valkey() as broker:
        counters = [RequestCounter(1, broker.url) for _ in range(2)]
        with servers.full(broker):
            assert [counter.add("ada") for counter in counters] == [1, 1]
        time.sleep(0.06)
        now = time.time() + 1  # a second in which nobody has counted
        monkeypatch.setattr(rate_limits.time, "time", lambda: now)
        assert [counter.add("ada") for counter in counters] == [1, 2]


def test_parallel_requests_are_each_counted_once(broker: str) -> None:
    counter = RequestCounter(100, broker)
    counts: list[int] = []

    def send() -> None:
        for _ in range(50):
            counts.append(counter.add("ada"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    while time.time() % 1 > 0.3:  # all within one second
        time.sleep(0.01)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(counts) == 400


def test_nothing_stays_in_the_broker(broker: str) -> None:
    counter = RequestCounter(1, broker)
    counter.add("ada")
    client = redis.Redis.from_url(redis_url(broker).replace("redis+unix", "unix"))
    (key,) = client.scan_iter("gradserve:requests*")
    assert 0 < client.pttl(key) <= 1000


@pytest.mark.parametrize(
    ("broker_url", "url"),
    [
        ("redis://:p%40ss@h:6380/2", "redis://:p%40ss@h:6380/2"),
        ("redis+socket:///run/a%20b.sock", "redis+unix:///run/a%20b.sock?db=0"),
        ("redis+socket:///x.sock?virtual_host=3", "redis+unix:///x.sock?db=3"),
        ("redis+socket:///x.sock?virtual_host=/3", "redis+unix:///x.sock?db=3"),
        ("rediss://h/0?ssl_cert_reqs=CERT_NONE", "rediss://h/0?ssl_cert_reqs=none"),
        (
            "rediss://h/0?ssl_ca_certs=%2Fca.pem&ssl_cert_reqs=required",
            "rediss://h/0?ssl_ca_certs=%2Fca.pem&ssl_cert_reqs=required",
        ),
    ],
)
def test_the_brokers_address_is_read_as_kombu_reads_it(broker_url: str, url: str) -> None:
    assert redis_url(broker_url) == url
    RequestCounter(1, broker_url)
