"""Request bodies, read as strictly as RFC 8259 allows.

Python's parser takes the last of two equal keys, reads NaN as a number and lets lone surrogates
through. A body that can be read in two ways, or cannot be stored as it stands, is refused.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from flask import Flask, Request, current_app, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from engine.spec.base import MAX_ROWS, pointer
from service.api.problems import MAX_ERRORS
from service.common.errors import InvalidRequest, TooBusy
from service.common.settings import Settings

# Escapes of characters that are no text: NUL and surrogates, of which some are half of a pair.
SUSPECT = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)
NO_TEXT = re.compile("[\x00\ud800-\udfff]")

# The start of a list or an object, or a whole string. A string that has begun always matches, so
# that the search is linear also where it has no end.
PART = re.compile(rb'[\[{]|"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
# A row of a table is one list; a job has few others, and few strings. Each takes up to 35 times
# as much memory as the bytes that stand for it.
MAX_PARTS = 2 * MAX_ROWS

# Longer integers are read as floating point; no whole number of a job is that large.
INTEGER_DIGITS = 18
# No part of a job has nearly this many. A million unknown fields would each become an error with
# its place, which takes longer than a request may.
MAX_KEYS = 1_000
# Keys are repeated in the place of every error below them.
MAX_KEY_LENGTH = 100


# A body takes up to fifty times its size in memory while it is read, and one whose every row is
# wrong nearly two hundred times: only some large ones are read at the same time (the setting
# max_large_bodies), and the others wait for a moment. More would not be quicker: Python reads one
# at a time.
LARGE_BYTES = 2**14
TURN_SECONDS = 20.0
TURNS = "gradserve_large_bodies"


def register(app: Flask, settings: Settings) -> None:
    """Gives the app its turns for large bodies."""
    app.extensions[TURNS] = threading.BoundedSemaphore(settings.max_large_bodies)

    @app.teardown_request
    def give_back(error: BaseException | None) -> None:
        request.close()


class StrictRequest(Request):
    """A request whose JSON body is an object with one meaning."""

    _turn: threading.BoundedSemaphore | None = None

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body as a dict. flask-openapi3 asks for it `silent`, which would hide what is wrong.

        Raises:
            UnsupportedMediaType: the body does not claim to be JSON.
            BadRequest: it is not JSON, or did not arrive whole.
            RequestEntityTooLarge: it is longer than the app allows.
            InvalidRequest: it is JSON but not an object, or holds text that cannot be stored.
        """
        if not self.is_json:
            raise UnsupportedMediaType(
                "send JSON with Content-Type: application/json; a CSV file goes to POST "
                "/v1/datasets as text/csv"
            )
        return parse_object(self.read_body())

    def text(self) -> str:
        """The body as text, without a byte-order mark.

        Raises:
            BadRequest, RequestEntityTooLarge, UnsupportedMediaType: as `get_json`.
        """
        try:
            return self.read_body().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadRequest(f"the body is not UTF-8: byte {error.start} is wrong") from None

    def read_body(self) -> bytes:
        """The bytes of the body.

        Raises:
            UnsupportedMediaType: it is compressed.
            BadRequest: it did not arrive whole.
            RequestEntityTooLarge: it is longer than the app allows.
            TooBusy: it is large, and others that are read just now take too long.
        """
        if self.content_encoding not in (None, "identity"):
            raise UnsupportedMediaType(
                f"{self.content_encoding} bodies are not read: send it uncompressed"
            )
        if (self.content_length or LARGE_BYTES) >= LARGE_BYTES:
            self.take_turn()
        return self._body()

    def take_turn(self) -> None:
        """Waits for a turn among the large bodies, which lasts until the request has ended.

        Raises:
            TooBusy: others take too long.
        """
        if self._turn is not None:
            return
        turns: threading.BoundedSemaphore = current_app.extensions[TURNS]
        if not turns.acquire(timeout=TURN_SECONDS):
            raise TooBusy("other large requests are being read; send it again")
        self._turn = turns

    def close(self) -> None:
        """Gives the turn back; the server calls this when the answer has been sent."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()
        super().close()

    def _body(self) -> bytes:
        try:
            body = self.get_data(cache=False)
        except (ClientDisconnected, ParseException) as error:
            raise BadRequest("the body did not arrive whole") from error
        # Without a Content-Length the body is cut off at the limit, not refused.
        limit = self.max_content_length
        if self.content_length is None and limit is not None and len(body) >= limit:
            raise RequestEntityTooLarge
        return body


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; numbers beyond float64 become infinite, for models to refuse.

    Raises:
        BadRequest, InvalidRequest: as `StrictRequest.get_json`.
    """
    if _has_too_many_parts(body):
        raise InvalidRequest(
            [
                (
                    "",
                    f"holds more than {MAX_PARTS:,} lists, objects and strings; no job has as "
                    "many, and rows to predict are sent a part at a time",
                )
            ]
        )
    try:
        text = body.decode("utf-8-sig")  # editors on Windows write a byte-order mark
        parsed = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start} is wrong") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise BadRequest(f"the body is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    if not isinstance(parsed, dict):
        raise InvalidRequest([("", "the body must be a JSON object")])
    if SUSPECT.search(text):
        found = list(islice(_no_text(parsed), MAX_ERRORS + 1))
        if found:
            raise InvalidRequest([(at, "holds a NUL or half a surrogate pair") for at in found])
    return parsed


def _has_too_many_parts(body: bytes) -> bool:
    # Quick, and enough for all but CSV with many quotation marks or brackets.
    if sum(map(body.count, (b"[", b"{", b'"'))) <= MAX_PARTS:
        return False
    return any(islice(PART.finditer(body), MAX_PARTS, None))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) > MAX_KEYS:
        raise BadRequest(f"an object has {len(made):,} keys; nothing that is read has that many")
    longest = max(map(len, made), default=0)
    if longest > MAX_KEY_LENGTH:
        raise BadRequest(f"a key has {longest:,} characters; no name is that long")
    if len(made) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise BadRequest(f"the key {twice!r} stands twice in one object")
    return made


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= INTEGER_DIGITS else float(digits)


def _no_text(root: dict[str, Any]) -> Iterator[str]:
    """Pointers to the strings, keys included, with characters that cannot be stored."""
    above: list[str | int] = []
    waiting = [_items(root)]
    while waiting:
        for key, value in waiting[-1]:
            if isinstance(key, str) and NO_TEXT.search(key):
                yield pointer(above)
            elif isinstance(value, str):
                if NO_TEXT.search(value):
                    yield pointer([*above, key])
            elif isinstance(value, dict | list):
                above.append(key)
                waiting.append(_items(value))
                break
        else:
            waiting.pop()
            del above[-1:]


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    # The millions of numbers that a list may hold are left out here, where that is quickest.
    return ((i, item) for i, item in enumerate(value) if type(item) in (str, list, dict))
