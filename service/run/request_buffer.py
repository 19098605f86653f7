"""The bytes that a client has sent, and whether they are a whole request yet.

It only looks for the end: of the head, of the body that gunicorn's parser finds announced there.
Afterwards that parser reads the request from here as from a socket, and finds out all the rest.
"""

from __future__ import annotations

import re
from typing import Any

from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import (
    BadRequest,
    RequestEntityTooLarge,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)

MAX_HEAD_BYTES = 2**16

END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
SIZE_OF_CHUNK = re.compile(rb"([0-9a-f]{1,15})[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)


class RequestBuffer:
    """The bytes of one connection, from the beginning of the request that is being received."""

    def __init__(self, cfg: Config, client: Any, max_body_bytes: int) -> None:
        self._cfg = cfg
        self._client = client
        self._max_body_bytes = max_body_bytes
        self._bytes = bytearray()
        self._forget()

    def __len__(self) -> int:
        return len(self._bytes)

    def append(self, received: bytes) -> None:
        self._bytes += received

    def recv(self, size: int) -> bytes:
        """The next bytes, for the parser.

        Raises:
            NoMoreData: there are none.
        """
        if not self._bytes:
            raise NoMoreData
        taken = bytes(self._bytes[:size])
        del self._bytes[:size]
        return taken

    def next_request(self, read_ahead: bytes) -> None:
        """Starts anew with what the parser has read beyond the request's end."""
        self._bytes[:0] = read_ahead
        self._forget()

    def is_whole(self) -> bool:
        """Whether the request can be answered, which for one that is too large is at once.

        Raises:
            HTTPException: it can only be refused.
        """
        if not self.has_head and not self._find_head():
            return False
        return self._find_end_of_chunks() if self._chunked else len(self._bytes) >= self._end

    def _forget(self) -> None:
        self.has_head = False
        self.expects_continue = False
        self._chunked = False
        self._end = 0  # of what is known: of the head, of the body, of the last chunk
        self._decoded = 0

    def _find_head(self) -> bool:
        found = END_OF_HEAD.search(self._bytes, self._end)
        if found is None:
            self._end = max(0, len(self._bytes) - 3)
            if len(self._bytes) > MAX_HEAD_BYTES:
                raise self._head_too_large()
            return False
        if found[0] != b"\r\n\r\n":
            raise BadRequest("the lines of a request's head must end in CR LF")
        self._end = found.end()
        self.has_head = True
        try:
            request = next(get_parser(self._cfg, [bytes(self._bytes[: self._end])], self._client))
        except (ParseException, NoMoreData):
            return True  # and is refused when it is parsed for good: no body is waited for
        body = request.body.reader
        if isinstance(body, ChunkedReader):
            self._chunked = True
        elif body.length <= self._max_body_bytes:  # else the app refuses it without reading it
            self._end += body.length
        self.expects_continue = request._expected_100_continue
        return True

    def _head_too_large(self) -> RequestURITooLarge | RequestHeaderFieldsTooLarge:
        kind = RequestHeaderFieldsTooLarge if b"\r\n" in self._bytes else RequestURITooLarge
        return kind(f"the head of the request is too large: at most {MAX_HEAD_BYTES:,} bytes")

    def _body_too_large(self) -> RequestEntityTooLarge:
        limit = self._max_body_bytes
        return RequestEntityTooLarge(f"the body is too large: at most {limit:,} bytes are read")

    def _find_end_of_chunks(self) -> bool:
        while True:
            if len(self._bytes) > 2 * self._max_body_bytes + MAX_HEAD_BYTES:
                raise self._body_too_large()
            line_end = self._bytes.find(b"\r\n", self._end)
            if line_end < 0:
                return len(self._bytes) > self._end + MAX_HEAD_BYTES  # which the parser refuses
            size = SIZE_OF_CHUNK.fullmatch(self._bytes[self._end : line_end])
            if size is None:
                return True  # which the parser refuses
            if int(size[1], 16) == 0:
                # The empty line behind the last chunk and, seldom, trailers.
                end = self._bytes.find(b"\r\n\r\n", line_end)
                return end >= 0 or len(self._bytes) > self._end + MAX_HEAD_BYTES
            decoded = self._decoded + int(size[1], 16)
            if decoded > self._max_body_bytes:
                raise self._body_too_large()
            end = line_end + 2 + int(size[1], 16) + 2
            if end > len(self._bytes):
                return False
            self._end, self._decoded = end, decoded
