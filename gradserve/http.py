"""HTTP requests to one service: retries, and errors from problem documents.

A request is repeated for a short time when the service cannot be reached or returns 503. That is
safe for a submission too, because it carries an Idempotency-Key.
"""

from __future__ import annotations

import time
from typing import Any

import httpx

from gradserve.errors import ClientError, FieldError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Seconds for which a request is repeated.
PATIENCE = 2.0


class Transport:
    """A pool of connections to one service, safe to use from several threads."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._http = httpx.Client(
            base_url=_checked(self.url),
            timeout=timeout,
            # A proxy for the outside world does not lead to this machine.
            trust_env=httpx.URL(self.url).host not in LOOPBACK,
        )

    def close(self) -> None:
        self._http.close()

    def succeeds(self, path: str) -> bool:
        """Whether one GET succeeds. False also where the service cannot be reached."""
        try:
            return self._http.get(path).is_success
        except httpx.TransportError:
            return False

    def send(
        self, method: str, path: str, *, patience: float = PATIENCE, **request: Any
    ) -> httpx.Response:
        """The successful response, after as many attempts as `patience` seconds allow.

        Raises:
            ClientError: the service refused the request, or failed until the last attempt.
        """
        deadline = time.monotonic() + patience
        pause = 0.1
        while True:
            try:
                return self._send_once(method, path, **request)
            except ClientError as error:
                temporary = error.status is None or error.status == httpx.codes.SERVICE_UNAVAILABLE
                if not temporary or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _send_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **request)
        except httpx.TimeoutException:
            raise ClientError(f"{self.url} did not answer in time") from None
        except httpx.TransportError as error:
            reason = str(error).rpartition("] ")[2]  # without "[Errno 111] "
            raise ClientError(
                f"Cannot reach {self.url}: {reason}; `gradserve up` starts a service"
            ) from None
        if not response.is_success:
            raise _refusal(response)
        return response


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object in a response.

    Raises:
        ClientError: the response holds something else, so the address is not that of a gradserve.
    """
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ClientError(
            f"{response.url} does not answer as gradserve does; is it another service?"
        )
    return document


def retry_after(response: httpx.Response, *, default: float) -> float:
    """Seconds until the service expects the next request, between 0.1 and 10."""
    try:
        return min(max(float(response.headers["Retry-After"]), 0.1), 10.0)
    except (KeyError, ValueError):
        return default


def _checked(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL("")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ClientError(f"{url!r} is not an address; it must look like http://HOST:PORT")
    return url


def _refusal(response: httpx.Response) -> ClientError:
    """The sentence of an RFC 9457 problem, or the status where the response is not a problem."""
    try:
        problem = response.json()
        errors = tuple(FieldError(e["pointer"], e["detail"]) for e in problem.get("errors", ()))
        # The detail would only repeat the first of the fields.
        sentence = problem["title"] if errors else problem.get("detail") or problem["title"]
    except (ValueError, KeyError, TypeError, AttributeError):
        sentence = (
            f"{response.request.url} answered {response.status_code} {response.reason_phrase}"
        )
        errors = ()
    return ClientError(sentence, status=response.status_code, errors=errors)
