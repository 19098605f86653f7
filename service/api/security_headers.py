"""Headers by which every answer asks browsers for caution.

Answers are data: nothing in them is to be run, framed, guessed at, kept, or read by other sites.
A route that needs less sets its own value, as the page at /docs does.
"""

from __future__ import annotations

from flask import Flask, Response

DEFAULTS = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer, which makes some browsers hide the origin also from the service itself.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def register(app: Flask) -> None:
    @app.after_request
    def add(answer: Response) -> Response:
        for name, value in DEFAULTS.items():
            answer.headers.setdefault(name, value)
        return answer
