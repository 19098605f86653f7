"""Clients that stop in the middle or send too much do not block other clients."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from service.common.settings import Settings
from service.run.gunicorn_worker import CLIENT_SECONDS
from service.run.programs import API_THREADS
from tests.functional.conftest import Up

HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
HALF_A_BODY = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)


@contextmanager
def stalled(up: Up, number: int) -> Iterator[list[socket.socket]]:
    """Clients that have stopped sending, `number` of either kind."""
    with ExitStack() as closing:
        clients = []
        for beginning in number * [HALF_A_HEAD, HALF_A_BODY]:
            address = (up.http.base_url.host, up.http.base_url.port or 80)
            client = closing.enter_context(socket.create_connection(address))
            client.sendall(beginning)
            clients.append(client)
        yield clients


def test_others_are_answered_and_the_stalled_are_released(up: Up) -> None:
    with stalled(up, API_THREADS) as clients:
        assert up.http.get("/healthz", timeout=4 * CLIENT_SECONDS).status_code == 200

        # There are twice as many clients as threads, so this takes two rounds of full timeouts.
        end = time.monotonic() + 6 * CLIENT_SECONDS
        ends = []
        for client in clients:
            client.settimeout(max(0.1, end - time.monotonic()))
            ends.append(client.recv(100))
        assert not any(ends[::2])
        assert all(answer.startswith(b"HTTP/1.1 400 ") for answer in ends[1::2])
        assert up.http.get("/healthz", timeout=CLIENT_SECONDS).status_code == 200

    assert "Traceback" not in up.log("api")


@pytest.mark.parametrize(
    ("content_type", "status"), [("application/json", 413), ("text/plain", 415)]
)
def test_the_sender_of_a_body_that_nobody_reads_is_answered(
    up: Up, content_type: str, status: int
) -> None:
    body = b"x" * (3 * Settings().max_body_bytes // 2)
    headers = {"Content-Type": content_type}
    for _ in range(8):
        answer = httpx.post(
            f"{up.http.base_url}/v1/jobs", content=body, headers=headers, timeout=CLIENT_SECONDS
        )
        assert answer.status_code == status


def test_a_sender_that_does_not_stop_is_reset(up: Up) -> None:
    address = (up.http.base_url.host, up.http.base_url.port or 80)
    with socket.create_connection(address) as client:
        client.sendall(HALF_A_BODY.replace(b": 100", b": 100000000000"))
        client.settimeout(4 * CLIENT_SECONDS)
        with pytest.raises(ConnectionError):
            send_without_end(client)


def send_without_end(client: socket.socket) -> None:
    while True:
        client.sendall(b" " * 2**20)
