"""The client's errors, each with a text that is meant for a person."""

from __future__ import annotations

from typing import NamedTuple

from gradserve.printable import printable


class FieldError(NamedTuple):
    """A mistake in one place of a request; `pointer` is a JSON pointer (RFC 6901)."""

    pointer: str
    detail: str


class ClientError(Exception):
    """The service could not be reached, refused the request or failed.

    Attributes:
        status: the HTTP status; None when there was no response.
        errors: the places of the request that were refused.
        retry_after: seconds after which the service wants to be asked again; 0 where it does not
            say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after: float = 0.0,
    ) -> None:
        lines = [message, *(f"  {': '.join(filter(None, e))}" for e in errors)]
        super().__init__("\n".join(map(printable, lines)))
        self.status = status
        self.errors = errors
        self.retry_after = retry_after


class JobFileError(ClientError):
    """A job file cannot be read or holds no job; the text names the file and the place in it."""
