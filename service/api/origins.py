"""Pages of other origins change nothing here, unless GRADSERVE_CORS_ORIGINS allows them.

A browser sends some requests for a page without asking the service first, such as those of a form.
It says so in the headers Origin and Sec-Fetch-Site, which pages cannot forge and which programs
that are not browsers do not send.
"""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import Forbidden

from service.common.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

# What a page of an allowed origin may send, and which headers of the answer it may read.
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Prefer, "
    "X-Request-Id",
    "Access-Control-Max-Age": "600",
}
READABLE = (
    "Idempotency-Replayed, Location, Preference-Applied, RateLimit, RateLimit-Policy, "
    "Retry-After, X-Request-Id"
)


def register(app: Flask, settings: Settings) -> None:
    """Refuses what pages of other origins ask for, and tells browsers which ones are allowed."""
    allowed = settings.origin_set

    @app.before_request
    def check() -> Response | None:
        """The answer to a preflight of an allowed origin. Raises Forbidden for a foreign page."""
        if request.headers.get("Origin") in allowed:
            if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
                return Response(status=204, headers=PREFLIGHT)
        elif request.method not in SAFE_METHODS and is_foreign():
            raise Forbidden(
                "the request comes from a page of another origin; to allow it, add the page's "
                "origin to GRADSERVE_CORS_ORIGINS (behind a proxy, also let it keep the Host "
                "header, or add it to GRADSERVE_TRUSTED_PROXIES)"
            )
        return None

    @app.after_request
    def tell(answer: Response) -> Response:
        if allowed:
            answer.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin in allowed:
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Expose-Headers"] = READABLE
        return answer


def is_foreign() -> bool:
    """Whether a browser says that a page of another origin makes the request."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and not is_own(origin)


def is_own(origin: str) -> bool:
    """Whether an origin is the address that the request was sent to.

    Its scheme may be https where the request has http: a proxy that ends TLS may not say so.
    """
    scheme, _, host = origin.lower().partition("://")
    own = request.host.lower()
    if scheme == "https":
        own = own.removesuffix(":443")
    return scheme in ("https", request.scheme) and host == own != ""
