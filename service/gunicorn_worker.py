"""gunicorn's threaded worker, for `gunicorn --worker-class service.gunicorn_worker.Worker`."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import TConn, ThreadWorker

# How long a client may keep a thread waiting for the next bytes of a request, or for room in its
# buffers for the next bytes of an answer.
CLIENT_SECONDS = 5


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Lets go of clients that stop in the middle.

    gunicorn itself waits for them without end, so that as many half requests as there are
    threads keep everybody else out.
    """

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
            # gunicorn gives a client two seconds to close first, in the thread that accepts:
            # nobody else got in while clients that do not close were let go of in turn. Here
            # the same is done in this thread; then there is nothing left to wait for.
            with suppress(OSError):
                close_graceful(conn.sock.dup())
                conn.sock.shutdown(socket.SHUT_RD)
        return result
