"""Clients that are silent, slow, wrong or send too much do not keep others out."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email import message_from_string
from typing import Any

import httpx
import pytest

from benchmarks.slow_clients import CLIENTS, TARGET_SECONDS, measure
from service.common.settings import Settings
from service.run.gunicorn_worker import CLOSING_SECONDS, room_for
from service.run.programs import API_CONNECTIONS, API_THREADS
from tests.functional.conftest import Start, Up

HOST = b"Host: localhost\r\n"
HEALTHZ = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
HALF_A_HEAD = HEALTHZ + b"X-Slow: "
HALF_A_BODY = POST + b"Content-Length: 100\r\n\r\n{"
HALF_A_CHUNK = POST + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{"

# In which one is late, in these tests.
REQUEST_SECONDS = 3


@pytest.fixture
def strict(start: Start) -> Up:
    return start(GRADSERVE_REQUEST_SECONDS=str(REQUEST_SECONDS)).wait_until_up()


def connect(up: Up, beginning: bytes = b"") -> socket.socket:
    client = socket.create_connection((up.http.base_url.host, up.http.base_url.port or 80), 30)
    client.sendall(beginning)
    return client


@contextmanager
def connected(up: Up, beginnings: list[bytes]) -> Iterator[list[socket.socket]]:
    with ExitStack() as closing:
        yield [closing.enter_context(connect(up, beginning)) for beginning in beginnings]


def answer(client: socket.socket) -> tuple[int, Any, dict[str, Any]]:
    """Status, headers and body of the one answer that the client gets before it is disconnected."""
    with client.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    status, _, headers = head.decode().partition("\r\n")
    return int(status.split()[1]), message_from_string(headers), json.loads(body)


def assert_problem(up: Up, client: socket.socket, status: int) -> str:
    """The detail of a refusal, which must have all that other answers have."""
    found, headers, problem = answer(client)
    assert (found, problem["status"]) == (status, status)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Connection"] == "close"
    assert "Server" not in headers
    assert problem["type"].startswith("urn:gradserve:problem:")
    (line,) = [line for line in up.log("api").splitlines() if headers["X-Request-Id"] in line]
    event = json.loads(line)
    assert (event["status"], event["reason"]) == (status, problem["detail"])
    return str(problem["detail"])


def test_others_do_not_wait_beside_hundreds_of_silent_and_slow_clients(up: Up) -> None:
    # The machine of a test does other things, too: benchmarks/slow_clients.py holds the target.
    address = up.http.base_url
    found = measure(address.host, address.port or 80, seconds=10)
    assert found.failed == 0
    assert found.median < TARGET_SECONDS
    assert found.p99 < 10 * TARGET_SECONDS
    assert sum(CLIENTS.values()) > 10 * API_THREADS


def test_late_requests_are_refused(strict: Up) -> None:
    with connected(strict, API_THREADS * [HALF_A_HEAD, HALF_A_BODY, HALF_A_CHUNK]) as clients:
        end = time.monotonic() + REQUEST_SECONDS - 1
        while time.monotonic() < end:  # every byte is in time, the whole is not
            time.sleep(0.5)
            for client in clients:
                client.sendall(b" ")
        for client in clients[:3]:
            detail = assert_problem(strict, client, 408)
            assert detail == f"the request did not arrive within {REQUEST_SECONDS} seconds"
        for client in clients[3:]:
            assert client.recv(20).startswith(b"HTTP/1.1 408 ")

    counted = f'method="other",route="none",status="408"}} {len(clients)}.0'
    assert counted in strict.http.get("/metrics").text
    assert "Traceback" not in strict.log("api")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /\n\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (POST + b"Content-Length: 5, 5\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /v1/jobs?name=" + b"a" * 5_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /" + b"a" * 70_000, 414),
        (POST + b"Expect: miracles\r\n\r\n", 417),
        (HEALTHZ + b"A: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (HEALTHZ + 101 * b"A: b\r\n" + b"\r\n", 431),
        (HEALTHZ + 20_000 * b"A: b\r\n", 431),
        (POST + b"Transfer-Encoding: br, chunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413),
    ],
)
def test_refusals_of_the_server_are_problems(sent: bytes, status: int, shared: Up) -> None:
    with connect(shared, sent) as client:
        assert_problem(shared, client, status)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("refusals")
    up = Up(folder, folder / "var", {})
    try:
        yield up.wait_until_up()
    finally:
        up.clear()


@pytest.mark.parametrize("half", [HALF_A_BODY, HALF_A_CHUNK])
def test_who_stops_half_way_learns_of_it(half: bytes, shared: Up) -> None:
    with connect(shared, half) as client:
        client.shutdown(socket.SHUT_WR)
        status, _, problem = answer(client)
    assert (status, problem["detail"]) == (400, "the body did not arrive whole")


def test_requests_that_arrive_together_are_answered_in_turn(shared: Up) -> None:
    bad = POST + b"Content-Length: 2\r\n\r\n[]"
    last = HEALTHZ + b"Connection: close\r\n\r\n"
    with connect(shared, HEALTHZ + b"\r\n" + bad + last) as client, client.makefile("rb") as file:
        statuses = [line for line in file.read().splitlines() if b"HTTP/1.1 " in line]
    assert [line.split(b"HTTP/1.1 ")[1][:3] for line in statuses] == [b"200", b"422", b"200"]


def test_who_asks_before_sending_a_body_is_told_once(shared: Up) -> None:
    with connect(shared, POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n") as client:
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"[]")
        assert client.recv(100).startswith(b"HTTP/1.1 422 ")


def test_the_longest_silence_makes_room_for_new_connections(shared: Up) -> None:
    assert room_for(2 * API_CONNECTIONS) == 2 * API_CONNECTIONS  # in this process
    with connected(shared, 2 * API_CONNECTIONS * [b""]) as clients:
        assert shared.http.get("/healthz", timeout=5).status_code == 200
        assert clients[0].recv(1) == b""
        clients[-1].sendall(HEALTHZ + b"\r\n")
        assert clients[-1].recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.long
def test_large_bodies_take_bounded_memory(start: Start) -> None:
    limit = 2**20
    sent = limit - 1000
    up = start(GRADSERVE_MAX_BODY_BYTES=str(limit)).wait_until_up()
    almost = POST + b"Content-Length: %d\r\n\r\n" % limit + sent * b" "
    with connected(up, 9 * [almost]) as clients:
        answered = [client for client in clients if may_be_read(client)]
        assert len(answered) == 1
        assert_problem(up, answered[0], 503)
        assert up.http.post("/v1/jobs", content=limit * b" ").status_code == 415


def may_be_read(client: socket.socket) -> bool:
    client.settimeout(0.5)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    ("content_type", "status"), [("application/json", 413), ("text/plain", 415)]
)
def test_the_sender_of_a_body_that_nobody_reads_is_answered(
    shared: Up, content_type: str, status: int
) -> None:
    body = b"x" * (3 * Settings().max_body_bytes // 2)
    headers = {"Content-Type": content_type}
    for _ in range(8):
        answer = httpx.post(
            f"{shared.http.base_url}/v1/jobs", content=body, headers=headers, timeout=5
        )
        assert answer.status_code == status


def test_a_sender_that_does_not_stop_is_reset(shared: Up) -> None:
    with connect(shared, HALF_A_BODY.replace(b": 100", b": 100000000000")) as client:
        client.settimeout(4 * CLOSING_SECONDS)
        with pytest.raises(ConnectionError):
            send_without_end(client)


def send_without_end(client: socket.socket) -> None:
    while True:
        client.sendall(b" " * 2**20)
