"""Headers of proxies count when a trusted proxy sends them, and from nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from service.common.addresses import Network, is_within
from service.common.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


# The segments of a path, as RFC 3986 has them.
PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")


class TrustedProxies:
    """WSGI middleware that reads X-Forwarded-* of requests from certain networks."""

    def __init__(self, app: WSGIApplication, networks: Sequence[Network]) -> None:
        self._app = app
        self._networks = networks
        self._forwarded = ProxyFix(self._tidied, x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        trusted = is_within(environ.get("REMOTE_ADDR", ""), self._networks)
        app = self._forwarded if trusted else self._app
        return app(environ, start_response)

    def _tidied(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """With a plain prefix or none: one that begins with two slashes, or what browsers take for
        that, would make links lead to another host.
        """
        prefix = "/" + environ.get("SCRIPT_NAME", "").strip("/")
        environ["SCRIPT_NAME"] = prefix if PREFIX.fullmatch(prefix) else ""
        return self._app(environ, start_response)


def register(app: Flask, settings: Settings) -> None:
    if settings.proxy_networks:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.proxy_networks)  # type: ignore[method-assign]
