"""The bytes that a client has sent, and whether they are a whole request yet.

It only looks for the end. What the bytes mean, and whether they are allowed, is for gunicorn's
parser, which reads them from here as from a socket. Where the two disagree, the parser finds too
little and the connection is closed.
"""

from __future__ import annotations

import re

from gunicorn.http.errors import NoMoreData
from werkzeug.exceptions import (
    BadRequest,
    RequestEntityTooLarge,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)

MAX_HEAD_BYTES = 2**16

END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
EXPECTS_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
SIZE_OF_CHUNK = re.compile(rb"([0-9a-f]{1,15})[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)


class RequestBuffer:
    """The bytes of one connection, from the beginning of the request that is being received."""

    def __init__(self, max_body_bytes: int) -> None:
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
        head = bytes(self._bytes[: self._end])
        self._chunked = CHUNKED.search(head) is not None
        length = CONTENT_LENGTH.search(head)
        # The app refuses a body that is too large without reading it.
        if length is not None and int(length[1]) <= self._max_body_bytes:
            self._end += int(length[1])
        self.expects_continue = EXPECTS_CONTINUE.search(head) is not None
        return True

    def _head_too_large(self) -> RequestURITooLarge | RequestHeaderFieldsTooLarge:
        kind = RequestHeaderFieldsTooLarge if b"\r\n" in self._bytes else RequestURITooLarge
        return kind(f"the head of the request is too large: at most {MAX_HEAD_BYTES:,} bytes")

    def _find_end_of_chunks(self) -> bool:
        while True:
            if len(self._bytes) > 2 * self._max_body_bytes + MAX_HEAD_BYTES:
                raise RequestEntityTooLarge
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
                raise RequestEntityTooLarge
            end = line_end + 2 + int(size[1], 16) + 2
            if end > len(self._bytes):
                return False
            self._end, self._decoded = end, decoded
