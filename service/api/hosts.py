"""Only requests that name one of the service's own hosts are answered.

A page of somebody else's can make its name lead to 127.0.0.1 (DNS rebinding). To the browser it is
then the service itself, and only the Host header still tells the two apart.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import HTTPException

from service.common.addresses import host_of, is_loopback
from service.common.settings import Settings

MAX_SHOWN = 100


class MisdirectedRequest(HTTPException):
    code = 421


def register(app: Flask, settings: Settings) -> None:
    """Refuses every request whose Host header, or whose absolute address, names another host."""
    allowed = settings.host_set

    @app.before_request
    def check() -> None:
        """Raises MisdirectedRequest for a host that is not allowed."""
        for given in named():
            if not given:
                raise MisdirectedRequest("the request does not name a host: send a Host header")
            host = host_of(given)
            if not (is_loopback(host) or host in allowed):
                raise MisdirectedRequest(
                    f"{given[:MAX_SHOWN]!r} is not a host of this service: call it by another "
                    "name, or add this one to GRADSERVE_ALLOWED_HOSTS"
                )


def named() -> list[str]:
    """The hosts that the request names: a header, and perhaps an absolute address as target."""
    target = request.environ.get("RAW_URI", "/")
    header = request.environ.get("HTTP_HOST", "")
    return [header] if target[:1] in ("/", "*") else [header, urlsplit(target).netloc]
