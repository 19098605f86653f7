"""The API's listening socket, which the parent opens so that a taken port is known at once."""

from __future__ import annotations

import errno
import socket

from service.common.errors import GradserveError

LISTEN_BACKLOG = 1024


class StartFailed(GradserveError):
    """`gradserve up` cannot start; the text says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        StartFailed: the port is in use, or the host is not an address of this machine.
    """
    if not 0 <= port <= 65535:
        raise StartFailed(f"port {port} does not exist: choose one from 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=LISTEN_BACKLOG)
    except UnicodeError as error:  # a label of the name is empty or too long
        raise StartFailed(
            f"cannot listen on {host} port {port} (no host has such a name): "
            "choose another one with --host"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartFailed(
                f"port {port} on {host} is in use: stop what listens there, "
                "or choose another one with --port"
            ) from error
        # Python writes the address once more behind what the system says.
        reason = (error.strerror or "").split(" (while ")[0]
        raise StartFailed(
            f"cannot listen on {host} port {port} ({reason}): choose others with --host and --port"
        ) from error


def reachable(listener: socket.socket) -> tuple[str, int]:
    """An address at which this machine itself reaches the listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # nosec B104 - compared, not bound


def public_url(listener: socket.socket) -> str:
    """The address that a person on this machine types to reach the listener."""
    host, port = reachable(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
