"""Every request gets an id, a line in the log and a place in the metrics.

The id is the caller's X-Request-Id where that is a plain one, so that the caller's log and this
one can be matched. It is returned with the answer and stored with the job that the request makes.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from flask import Flask, Response, g, request

from service.api.metrics import HttpMetrics
from service.api.routes import matched_pattern
from service.common import logs
from service.common.refusals import REFUSAL

log = logging.getLogger(__name__)

HEADER = "X-Request-Id"
PLAIN = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Requested every few seconds by machines: their lines would hide the others.
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


def register(app: Flask, metrics: HttpMetrics) -> None:
    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        given = request.headers.get(HEADER, "")
        g.request_id = given if PLAIN.fullmatch(given) else secrets.token_hex(16)
        logs.bind(request_id=g.request_id)
        refusal = request.environ.get(REFUSAL)
        if refusal is not None:
            logs.bind(
                request_id=g.request_id, reason=refusal.description, client=request.remote_addr
            )
            raise refusal

    @app.after_request
    def end(answer: Response) -> Response:
        """Logs when the headers are ready; a stream continues after that."""
        seconds = time.perf_counter() - g.started
        answer.headers[HEADER] = g.request_id
        metrics.observe(_method(), _route(), answer.status_code, seconds)
        log.log(
            logging.DEBUG if request.path in QUIET else logging.INFO,
            "request",
            extra={
                "method": request.method,
                "path": request.path,
                "status": answer.status_code,
                "seconds": round(seconds, 4),
            },
        )
        return answer

    @app.teardown_request
    def forget(error: BaseException | None) -> None:
        logs.bind()


def _method() -> str:
    return request.method if request.method in METHODS else "other"


def _route() -> str:
    """The pattern that the path matched: with ids, each job would be a time series."""
    return matched_pattern() or "none"
