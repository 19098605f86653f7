"""A wire between Postgres and its clients that can be cut just before a COMMIT is confirmed."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

SOCKET = ".s.PGSQL.5432"
# The server's CommandComplete message for a COMMIT: type, length, tag.
COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"


class Wire:
    """Passes everything on, in both directions, until it is told to cut.

    Clients name `folder` as their host; `server` is the folder of Postgres's socket.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder = folder
        self.cuts = 0
        self._server = str(server / SOCKET)
        self._armed = threading.Semaphore(0)
        self._closing = False
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.folder / SOCKET))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut_at_commit(self) -> None:
        """Lets the next COMMIT on any connection take place and its answer be lost."""
        self._armed.release()

    def _accept(self) -> None:
        while not self._closing:
            with suppress(OSError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, suppress(OSError):
            server.connect(self._server)
            while True:
                readable, _, _ = select.select([client, server], [], [])
                for source in readable:
                    data = source.recv(65536)
                    if not data:
                        return
                    if (
                        source is server
                        and COMMITTED in data
                        and self._armed.acquire(blocking=False)
                    ):
                        self.cuts += 1
                        return
                    (client if source is server else server).sendall(data)
