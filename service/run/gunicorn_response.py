"""gunicorn's answers without the header that names it, and with a deadline."""

from __future__ import annotations

import time
from typing import Any

from gunicorn.http import wsgi

# At zero a socket would not wait at all, not even for room that is there.
SHORTEST_SECONDS = 0.001


class Response(wsgi.Response):  # type: ignore[misc]  # gunicorn ships no types
    """An answer that does not say which server made it.

    Its client may keep a thread waiting for `seconds_to_receive` in all. The time limit of a socket
    would begin anew with each piece of the answer.
    """

    seconds_to_receive = 30.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._left = self.seconds_to_receive

    def default_headers(self) -> list[str]:
        return [line for line in super().default_headers() if not line.startswith("Server:")]

    def write(self, arg: bytes) -> None:
        """Raises TimeoutError, which ends the connection, where the client takes too long."""
        self.sock.settimeout(max(SHORTEST_SECONDS, self._left))
        began = time.monotonic()
        super().write(arg)
        self._left -= time.monotonic() - began

    def sendfile(self, respiter: Any) -> bool:
        """Never: the time limit of the system's own way begins anew with every few bytes."""
        return False


def install(seconds_to_receive: float) -> None:
    """Makes gunicorn use it, for which there is no setting."""
    Response.seconds_to_receive = seconds_to_receive
    wsgi.Response = Response
