"""Requests that never reach the app are answered by it all the same: as problem details, with an
id, a line in the log and a place in the metrics."""

from __future__ import annotations

from wsgiref.types import WSGIApplication

from gunicorn.http import errors
from werkzeug.exceptions import (
    BadRequest,
    ExpectationFailed,
    Forbidden,
    HTTPException,
    InternalServerError,
    NotImplemented,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)
from werkzeug.http import http_date
from werkzeug.test import create_environ
from werkzeug.wrappers import Response

from service.common.refusals import REFUSAL

# Whatever else gunicorn's parser refuses is a bad request.
KINDS: dict[type[Exception], type[HTTPException]] = {
    errors.LimitRequestLine: RequestURITooLarge,
    errors.LimitRequestHeaders: RequestHeaderFieldsTooLarge,
    errors.ExpectationFailed: ExpectationFailed,
    errors.UnsupportedTransferCoding: NotImplemented,
    errors.ForbiddenProxyRequest: Forbidden,
}
# These are faults of ours, though gunicorn raises them as it does the others.
OURS = (
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
)
MAX_DETAIL = 200


def from_gunicorn(error: Exception) -> HTTPException:
    """The refusal that stands for an error of gunicorn or of the app."""
    if not isinstance(error, errors.ParseException) or isinstance(error, OURS):
        return InternalServerError("something went wrong; the log has the details")
    kind = KINDS.get(type(error), BadRequest)
    return kind(str(error)[:MAX_DETAIL])


def answer(app: WSGIApplication, refusal: HTTPException, client: str) -> bytes:
    """The bytes of the app's answer, after which the connection is to be closed."""
    # A method and a path that are nobody's: those of the request may not be known.
    environ = create_environ("/*", method="OTHER", environ_base={"REMOTE_ADDR": client})
    made = Response.from_app(app, environ | {REFUSAL: refusal}, buffered=True)
    made.headers["Connection"] = "close"
    made.headers["Date"] = http_date()
    lines = [f"HTTP/1.1 {made.status}", *(f"{name}: {value}" for name, value in made.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + made.get_data()
