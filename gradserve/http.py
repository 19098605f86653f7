"""Requests to the service: repeated while it is unavailable, refused with a `ClientError`.

A request is repeated for a moment when the service cannot be reached, responds with 503, or with
429 and a time within that moment. That is safe for a submission too: it carries an
Idempotency-Key, so a job is never made twice.
"""

from __future__ import annotations

import os
import time
from typing import Any

import httpx

from gradserve.errors import ClientError, FieldError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
INSECURE_VARIABLE = "GRADSERVE_INSECURE_HTTP"
# How many seconds a request is repeated: a moment for most, a restart's time while watching.
RETRY_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
TOO_MANY = httpx.codes.TOO_MANY_REQUESTS
TEMPORARY = (None, httpx.codes.SERVICE_UNAVAILABLE, TOO_MANY)


class Transport:
    """An HTTP connection to one service. Safe to use from several threads."""

    def __init__(
        self, url: str, timeout: float, api_key: str | None = None, *, insecure_http: bool = False
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._http = httpx.Client(
            base_url=_checked(self.url),
            timeout=timeout,
            headers=_authorization(httpx.URL(self.url), api_key, insecure_http),
            # A proxy for the outside world does not lead to this machine.
            trust_env=httpx.URL(self.url).host not in LOOPBACK,
        )

    def close(self) -> None:
        self._http.close()

    def answers(self, path: str) -> bool:
        """Whether a GET succeeds; False also when nothing responds."""
        try:
            return self._http.get(path).is_success
        except httpx.TransportError:
            return False

    def send(
        self, method: str, path: str, *, retry_seconds: float = RETRY_SECONDS, **request: Any
    ) -> httpx.Response:
        """The response to a request, repeated for up to `retry_seconds`.

        Raises:
            ClientError: the service cannot be reached, refuses the request or fails.
        """
        deadline = time.monotonic() + retry_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return self._send_once(method, path, **request)
            except ClientError as error:
                if error.status not in TEMPORARY:
                    raise
                wait = max(pause, error.retry_after) if error.status == TOO_MANY else pause
                if time.monotonic() + wait > deadline:
                    raise
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

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


def document(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a response. Raises ClientError where it holds none."""
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClientError(
            f"{response.url} does not answer as gradserve does; is it another service?"
        )
    return found


def location(response: httpx.Response) -> str:
    """The address at which the answer to a request will be, on the same service.

    Raises ClientError where it is on another one, which is not to get the API key.
    """
    here = response.url
    there = here.join(response.headers.get("Location", ""))
    if (there.scheme, there.netloc) != (here.scheme, here.netloc):
        raise ClientError(f"{here} does not answer as gradserve does: it leads to {there}")
    return str(there)


def retry_after(response: httpx.Response, *, default: float) -> float:
    """Seconds until the service wants to be asked again, at most 10."""
    seconds = _seconds(response)
    return default if seconds is None else min(max(seconds, 0.1), 10.0)


def _seconds(response: httpx.Response) -> float | None:
    try:
        return float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None


def _authorization(url: httpx.URL, api_key: str | None, insecure_http: bool) -> dict[str, str]:
    if not api_key:
        return {}
    allowed = insecure_http or os.environ.get(INSECURE_VARIABLE) == "1"
    if url.scheme == "http" and url.host not in LOOPBACK and not allowed:
        raise ClientError(
            f"the API key is not sent to {url}, because whoever sees plain http can read it: use "
            f"https, or set {INSECURE_VARIABLE}=1 where you trust the network"
        )
    return {"Authorization": f"Bearer {api_key}"}


def _checked(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL("")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ClientError(f"{url!r} is not an address; it must look like http://HOST:PORT")
    return url


def _refusal(response: httpx.Response) -> ClientError:
    """The sentence of an RFC 9457 problem, or the status where the response holds none."""
    try:
        problem = response.json()
        errors = tuple(FieldError(e["pointer"], e["detail"]) for e in problem.get("errors", ()))
        # The places say everything; the detail would only repeat the first of them.
        sentence = problem["title"] if errors else problem.get("detail") or problem["title"]
    except (ValueError, KeyError, TypeError, AttributeError):
        sentence = f"{response.request.url} answered {response.status_code} "
        sentence += response.reason_phrase
        errors = ()
    return ClientError(
        sentence,
        status=response.status_code,
        errors=errors,
        retry_after=_seconds(response) or 0.0,
    )
