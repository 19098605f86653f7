"""gunicorn's answers without the header that names it."""

from __future__ import annotations

from gunicorn.http import wsgi


class Response(wsgi.Response):  # type: ignore[misc]  # gunicorn ships no types
    """An answer that does not say which server made it."""

    def default_headers(self) -> list[str]:
        return [line for line in super().default_headers() if not line.startswith("Server:")]


def install() -> None:
    """Makes gunicorn use it, for which there is no setting."""
    wsgi.Response = Response
