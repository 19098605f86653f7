"""A message is published at once, or refused at once."""

from __future__ import annotations

import signal
import ssl
import time
from collections.abc import Callable

import pytest
from celery import Celery

from service.common import messages
from service.common.settings import Settings
from tests import servers
from tests.servers import Server


@pytest.fixture
def publisher(broker: str, sqlite_database: str) -> Celery:
    return messages.make_publisher(Settings(database_url=sqlite_database, broker_url=broker))


def seconds(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def test_a_message_waits_for_a_worker(publisher: Celery) -> None:
    assert messages.waiting(publisher) == 0
    assert messages.try_publish(publisher, "job_1")
    assert messages.try_publish(publisher, "job_2")
    assert messages.waiting(publisher) == 2


def test_a_worker_reads_what_the_publisher_wrote(publisher: Celery, broker: str) -> None:
    messages.try_publish(publisher, "job_1")
    worker = messages.make_celery(Settings(broker_url=broker))
    with worker.connection_for_read() as connection:
        arrived = connection.SimpleQueue(messages.QUEUE)
        message = arrived.get(timeout=5)
        assert message.headers["task"] == messages.TRAIN_JOB
        assert message.payload[0] == ["job_1"]
        message.ack()
        arrived.close()


def test_nothing_is_acknowledged_late_or_put_back(publisher: Celery) -> None:
    """With either setting a job would run twice or for ever (see service.common.messages)."""
    worker = messages.make_celery(Settings())
    assert worker.conf.task_acks_late is False
    assert worker.conf.task_reject_on_worker_lost is False
    assert worker.conf.worker_prefetch_multiplier == 1
    assert worker.conf.result_backend is None


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nonexistent.sock"])
def test_a_broker_that_is_down_is_noticed_at_once(url: str) -> None:
    publisher = messages.make_publisher(Settings(broker_url=url))
    assert seconds(lambda: messages.try_publish(publisher, "job_1")) < 1
    assert messages.try_publish(publisher, "job_1") is False
    assert messages.waiting(publisher) is None


def test_a_frozen_broker_costs_about_a_second_and_a_new_one_is_found() -> None:
    with servers.server_folder() as folder:
        broker = servers.start_valkey(folder)
        publisher = messages.make_publisher(Settings(broker_url=broker.url))
        assert messages.try_publish(publisher, "job_1")
        broker.process.send_signal(signal.SIGSTOP)
        assert seconds(lambda: messages.try_publish(publisher, "job_2")) < 3
        assert messages.try_publish(publisher, "job_2") is False
        broker.stop(signal.SIGKILL)
        assert messages.try_publish(publisher, "job_3") is False
        again: Server = servers.start_valkey(folder)
        assert messages.try_publish(publisher, "job_4")
        assert messages.waiting(publisher) == 1
        again.stop()


def test_the_log_says_why_a_message_was_not_published(caplog: pytest.LogCaptureFixture) -> None:
    with servers.valkey() as broker:
        publisher = messages.make_publisher(Settings(broker_url=broker.url))
        with servers.full(broker):
            assert messages.try_publish(publisher, "job_1") is False
        assert messages.try_publish(publisher, "job_2")
        broker.stop()
        assert messages.try_publish(publisher, "job_3") is False
        publisher.close()

    full, gone = (record for record in caplog.records if record.name == messages.__name__)
    assert full.message == gone.message == "message not published, recovery will do it"
    assert (full.job_id, gone.job_id) == ("job_1", "job_3")  # type: ignore[attr-defined]
    assert "maxmemory" in full.reason  # type: ignore[attr-defined]
    assert "connecting" in gone.reason  # type: ignore[attr-defined]


Make = Callable[[Settings], Celery]


@pytest.mark.parametrize("make", [messages.make_celery, messages.make_publisher])
@pytest.mark.parametrize(
    ("options", "looks"),
    [
        ("", ssl.CERT_REQUIRED),
        ("?ssl_cert_reqs=", ssl.CERT_REQUIRED),
        ("?ssl_ca_certs=/etc/ca.pem", ssl.CERT_REQUIRED),
        ("?ssl_cert_reqs=required", ssl.CERT_REQUIRED),
        ("?ssl_cert_reqs=optional", ssl.CERT_OPTIONAL),
        ("?ssl_cert_reqs=none", ssl.CERT_NONE),
        ("?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/etc/ca.pem", ssl.CERT_NONE),
    ],
)
def test_a_certificate_is_looked_at_unless_the_address_says_otherwise(
    make: Make, options: str, looks: ssl.VerifyMode
) -> None:
    app = make(Settings(broker_url=f"rediss://:secret@broker:6380/1{options}"))
    for connection in (app.connection_for_write(), app.connection_for_read()):
        assert connection.ssl["ssl_cert_reqs"] == looks
        assert ("ssl_ca_certs" in connection.ssl) == ("ssl_ca_certs" in options)
        assert (connection.password, connection.virtual_host) == ("secret", "1")


@pytest.mark.parametrize("url", ["redis://broker/0", "redis+socket:///run/valkey.sock"])
def test_a_connection_without_encryption_has_no_certificate(url: str) -> None:
    assert not messages.make_publisher(Settings(broker_url=url)).connection_for_write().ssl


def test_errors_of_other_kinds_than_connections_are_not_swallowed(publisher: Celery) -> None:
    with pytest.raises(Exception, match="not JSON serializable"):
        messages.try_publish(publisher, object())  # type: ignore[arg-type]
