"""gunicorn's threaded worker, for `gunicorn --worker-class service.run.gunicorn_worker.Worker`."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from service.run import gunicorn_response

# How long a client may keep a thread waiting for the next bytes of a request, or for room in its
# buffers for the next bytes of an answer.
CLIENT_SECONDS = 5

# How long a client that sends nothing may take to close.
LINGER_SECONDS = 2


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Disconnects clients that stop in the middle.

    gunicorn itself waits for them without end, so that as many half requests as there are
    threads keep everybody else out.
    """

    def init_process(self) -> None:
        gunicorn_response.install()
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        # By the kernel's own timeouts: gunicorn resets those of Python's sockets.
        timeout = struct.pack("ll", CLIENT_SECONDS, 0)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, option, timeout)
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """What gunicorn is to do with the connection; false to close it."""
        result = super().handle(conn)
        if not result:
            # gunicorn does this in the thread that accepts: nobody else got in while clients
            # that do not close were disconnected in turn. Now nothing is left to wait for there.
            with suppress(OSError):
                disconnect(conn.sock)
        return result


def disconnect(client: socket.socket) -> None:
    """Waits for a client to close, reading what it still sends, so that it gets its answer.

    gunicorn reads 64 kB. A larger body that nobody wants would leave its sender waiting for room.
    """
    client.shutdown(socket.SHUT_WR)
    client.settimeout(LINGER_SECONDS)
    end = time.monotonic() + CLIENT_SECONDS
    with suppress(TimeoutError):
        while time.monotonic() < end:
            if not client.recv(65536):
                return
    # Closing resets the connection then: whatever still comes, its sender learns of it.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.shutdown(socket.SHUT_RD)
