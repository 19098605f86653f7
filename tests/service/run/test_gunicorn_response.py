"""An answer ends when its client has taken too long to receive it, in however many pieces."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.wsgi import FileWrapper

from service.run import gunicorn_response

SECONDS = 0.4
PIECE = bytes(50_000)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    yield server, client
    server.close()
    client.close()


@pytest.fixture
def response(
    sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> gunicorn_response.Response:
    monkeypatch.setattr(gunicorn_response.Response, "seconds_to_receive", SECONDS)
    request = SimpleNamespace(version=(1, 1), method="GET", headers=[], should_close=lambda: True)
    made = gunicorn_response.Response(request, sockets[0], Config())
    made.start_response("200 OK", [("Content-Length", str(200 * len(PIECE)))])
    return made


def write_all(response: gunicorn_response.Response) -> None:
    for _ in range(200):
        response.write(PIECE)


def read(client: socket.socket, pause: float) -> threading.Thread:
    """Receives whatever comes, with a pause after each 10 kB."""

    def receive() -> None:
        with suppress(OSError):  # closed at the end of the test
            while client.recv(10_000):
                time.sleep(pause)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    return thread


def test_a_slow_reader_is_cut_off_after_the_whole_time(
    response: gunicorn_response.Response, sockets: tuple[socket.socket, socket.socket]
) -> None:
    read(sockets[1], 0.01)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        write_all(response)  # 10 s; each piece takes 50 ms
    assert SECONDS - 0.1 < time.monotonic() - began < 3 * SECONDS
    sockets[0].close()


def test_so_is_the_slow_reader_of_a_file(
    response: gunicorn_response.Response,
    sockets: tuple[socket.socket, socket.socket],
    tmp_path: Path,
) -> None:
    file = tmp_path / "large"
    file.write_bytes(200 * PIECE)
    read(sockets[1], 0.01)
    began = time.monotonic()
    with file.open("rb") as opened, pytest.raises(TimeoutError):
        response.write_file(FileWrapper(opened))
    assert SECONDS - 0.1 < time.monotonic() - began < 3 * SECONDS
    sockets[0].close()


def test_only_the_time_for_which_the_client_is_waited_for_counts(
    response: gunicorn_response.Response, sockets: tuple[socket.socket, socket.socket]
) -> None:
    reader = read(sockets[1], 0)
    for _ in range(4):
        response.write(PIECE)
        time.sleep(SECONDS / 2)
    for _ in range(196):
        response.write(PIECE)
    sockets[0].close()
    reader.join(5)
    assert not reader.is_alive()
