"""gunicorn's threaded worker, for `gunicorn --worker-class service.run.gunicorn_worker.Worker`."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import struct
import time
from collections import Counter, deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker
from werkzeug.exceptions import HTTPException, RequestTimeout, ServiceUnavailable

from service.common import stopping
from service.common.processes import share_heaps
from service.common.settings import Settings
from service.run import gunicorn_response, refusals
from service.run.request_buffer import RequestBuffer

# How long a client may take to close, so that it gets the answer to what it still sends.
CLOSING_SECONDS = 5

# How long a client may take to receive a refusal, which has some hundred bytes.
REFUSAL_SECONDS = 5

RECEIVE_BYTES = 2**16

# Requests that arrive at the same time take at most as much memory as this many of the largest.
MAX_WAITING_BODIES = 8

# Refusals of late requests that are answered at the same time: hundreds can be late together, and
# others are not to wait behind all of them.
MAX_LATE_ANSWERS = 4

# Files of the process that are not connections of clients.
OTHER_FILES = 128


class Connection(TConn):  # type: ignore[misc]  # gunicorn ships no types
    """One client; its requests are received before they are parsed."""

    def __init__(self, *arguments: Any, max_body_bytes: int) -> None:
        super().__init__(*arguments)
        self.received = RequestBuffer(self.cfg, self.client, max_body_bytes)
        self.parser = http.get_parser(self.cfg, self.received, self.client)
        self.initialized = True  # with a parser that does not read from the socket
        self.refusal: HTTPException | None = None
        self.host = self.client[0] if isinstance(self.client, tuple) else ""
        self.since = time.monotonic()
        self.place: deque[Connection] | None = None


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Receives requests in the one thread that polls, and gives only whole ones to the others.

    gunicorn's own threads wait for the bytes of a request, so that as many slow clients as there
    are threads keep everybody else out. Here a connection is in one of these places:

    - `keepalived_conns`: no byte of a (further) request has arrived; closed after `keepalive`;
    - `pending_conns`: a request is arriving; refused when it takes longer than `request_seconds`;
    - a thread, from the last byte of the request to the end of the answer;
    - `closing_conns`: answered, and closed as soon as the client closes.
    """

    def init_process(self) -> None:
        self.settings = Settings.from_env(os.environ)
        self.worker_connections: int = room_for(self.cfg.worker_connections)
        self.closing_conns: deque[Connection] = deque()
        self.late_answers = 0
        gunicorn_response.install(self.settings.request_seconds)
        share_heaps()
        super().init_process()

    def handle_exit(self, sig: int, frame: Any) -> None:
        stopping.start()
        super().handle_exit(sig, frame)

    def accept(self, listener: socket.socket) -> None:
        # gunicorn stops accepting when there is no place left.
        while self.nr_conns >= self.worker_connections - 1 and self.make_room():
            pass
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        limit = self.settings.max_body_bytes
        self.expect_request(
            Connection(self.cfg, client, address, listener.getsockname(), max_body_bytes=limit)
        )

    def make_room(self) -> bool:
        """Closes the connection that has waited longest of the client that has the most of them."""
        waiting = [*self.closing_conns, *self.pending_conns, *self.keepalived_conns]
        if not waiting:
            return False
        number = Counter(conn.host for conn in waiting)
        chosen = max(waiting, key=lambda conn: (number[conn.host], -conn.since))
        self.leave(chosen)
        self.drop(chosen)
        return True

    def expect_request(self, conn: Connection) -> None:
        conn.since = time.monotonic()
        conn.timeout = conn.since + (self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        self.enter(self.keepalived_conns, conn, self.on_client_socket_readable)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """The first bytes of a request have arrived."""
        self.leave(conn)
        self.begin_request(conn)
        self.on_pending_socket_readable(conn, client)

    def begin_request(self, conn: Connection) -> None:
        conn.since = time.monotonic()
        conn.timeout = conn.since + self.settings.request_seconds
        self.enter(self.pending_conns, conn, self.on_pending_socket_readable)

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Further bytes of a request have arrived, or the client has closed."""
        try:
            data = client.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.received.append(data)
        if data:
            self.look_at(conn)
        elif conn.received.has_head:
            self.answer(conn)  # it may have closed its half, and learns that the rest is missing
        else:
            self.leave(conn)
            self.drop(conn)

    def look_at(self, conn: Connection) -> None:
        """Has a request answered that has arrived as a whole, or that is to be refused."""
        try:
            if conn.received.is_whole():
                self.answer(conn)
                return
        except HTTPException as refusal:
            self.answer(conn, refusal)
            return
        if conn.received.expects_continue:
            conn.received.expects_continue = False
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(conn.received) > RECEIVE_BYTES:
            self.bound_memory(conn)

    def bound_memory(self, conn: Connection) -> None:
        """Refuses the largest of the other requests when those that arrive take too much memory."""
        limit = MAX_WAITING_BODIES * self.settings.max_body_bytes
        if sum(len(other.received) for other in self.pending_conns) <= limit:
            return
        others = (other for other in self.pending_conns if other is not conn)
        largest = max(others, key=lambda other: len(other.received), default=conn)
        why = "too many large requests arrive at the same time"
        self.answer(largest, ServiceUnavailable(why, retry_after=2))

    def answer(self, conn: Connection, refusal: HTTPException | None = None) -> None:
        """Gives a connection to a thread."""
        self.leave(conn)
        conn.refusal = refusal
        self.enqueue_req(conn)

    def murder_pending(self) -> None:
        """Ends what takes too long; gunicorn calls it at least once a second."""
        now = time.monotonic()
        while self.closing_conns and self.closing_conns[0].timeout <= now:
            conn = self.closing_conns[0]
            self.leave(conn)
            # Closing resets the connection then: whatever still comes, its sender learns of it.
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.drop(conn)
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            if self.late_answers >= MAX_LATE_ANSWERS:
                break
            self.late_answers += 1
            seconds = self.settings.request_seconds
            why = f"the request did not arrive within {seconds:g} seconds"
            self.answer(self.pending_conns[0], RequestTimeout(why))

    def handle(self, conn: Connection) -> Any:
        """What gunicorn is to do with the connection; false to close it."""
        if conn.refusal is not None:
            self.refuse(conn.sock, conn.client, conn.refusal)
            return False
        return super().handle(conn)

    def handle_request(self, request: Any, conn: Connection) -> Any:
        request._expected_100_continue = False  # it was told when its head had arrived
        return super().handle_request(request, conn)

    def handle_error(
        self, request: Any, client: socket.socket, address: Any, error: Exception
    ) -> None:
        refusal = refusals.from_gunicorn(error)
        if refusal.code == 500:
            self.log.exception("a request failed")
        self.refuse(client, address, refusal)

    def refuse(self, client: socket.socket, address: Any, refusal: HTTPException) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        with suppress(OSError):
            client.settimeout(REFUSAL_SECONDS)
            client.sendall(refusals.answer(self.wsgi, refusal, host))

    def finish_request(self, conn: Connection, future: Future[Any]) -> None:
        """A thread is done with the connection."""
        if isinstance(conn.refusal, RequestTimeout):
            self.late_answers -= 1
        if future.cancelled() or future.exception() is not None or not future.result():
            self.close_politely(conn)
            return
        conn.received.next_request(conn.parser.unreader.take_buffered())
        conn.sock.setblocking(False)
        if len(conn.received):
            self.begin_request(conn)
            self.look_at(conn)
        else:
            self.expect_request(conn)

    def close_politely(self, conn: Connection) -> None:
        """Waits for the client to close, reading what it still sends, so that it gets its answer.

        A body that nobody wants would otherwise leave its sender waiting for room.
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(conn)
            return
        conn.since = time.monotonic()
        conn.timeout = conn.since + CLOSING_SECONDS
        self.enter(self.closing_conns, conn, self.on_closing_socket_readable)

    def on_closing_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        try:
            if client.recv(RECEIVE_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.leave(conn)
        self.drop(conn)

    def enter(self, place: deque[Connection], conn: Connection, callback: Any) -> None:
        place.append(conn)
        conn.place = place
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_readable, place, conn, callback)
        )

    def on_readable(
        self, place: deque[Connection], conn: Connection, callback: Any, client: socket.socket
    ) -> None:
        # An event of the same poll may have moved or closed the connection.
        if conn.place is place:
            callback(conn, client)

    def leave(self, conn: Connection) -> None:
        assert conn.place is not None
        conn.place.remove(conn)
        conn.place = None
        self.poller.unregister(conn.sock)

    def drop(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()


def room_for(connections: int) -> int:
    """As many of them as the process may have open, after raising that limit as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    else:
        soft = wanted
    return max(1, min(connections, soft - OTHER_FILES))
