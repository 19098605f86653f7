"""The end of a request is found where gunicorn's parser finds it, and not before."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException

from service.run.request_buffer import MAX_HEAD_BYTES, RequestBuffer

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CLIENT = ("127.0.0.1", 1)
LIMIT = 1000

WHOLE = {
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n": b"",
    b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n": b"",
    POST + b"Content-Length: 0\r\n\r\n": b"",
    POST + b"content-LENGTH:\t 11 \r\nX: y\r\n\r\n\r\n\r\nabc\r\n\r\n": b"\r\n\r\nabc\r\n\r\n",
    CHUNKED + b"0\r\n\r\n": b"",
    CHUNKED + b"6\r\nab\r\n\r\n\r\nA;x=y\r\n0\r\n\r\n56789\r\n000\r\nX-Sum: 1\r\n\r\n": (
        b"ab\r\n\r\n0\r\n\r\n56789"
    ),
}


def make(max_body_bytes: int) -> RequestBuffer:
    return RequestBuffer(Config(), CLIENT, max_body_bytes)


def parsed(buffer: RequestBuffer) -> bytes:
    parser = get_parser(Config(), buffer, CLIENT)
    body: bytes = next(parser).body.read()
    buffer.next_request(parser.unreader.take_buffered())
    return body


@pytest.mark.parametrize("request_bytes", WHOLE)
@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
def test_a_request_is_whole_with_its_last_byte(request_bytes: bytes, piece: int) -> None:
    buffer = make(LIMIT)
    for start in range(0, len(request_bytes), piece):
        assert not buffer.is_whole()
        buffer.append(request_bytes[start : start + piece])

    assert buffer.is_whole()
    assert parsed(buffer) == WHOLE[request_bytes]
    assert len(buffer) == 0


def test_requests_that_arrive_together_are_read_one_by_one() -> None:
    buffer = make(LIMIT)
    buffer.append(b"".join(WHOLE))
    for body in WHOLE.values():
        assert buffer.is_whole()
        assert parsed(buffer) == body
    assert not buffer.is_whole()


@pytest.mark.parametrize(
    "beginning",
    [
        POST + b"Content-Length: 1001\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST + b"Content-Length: 5\r\nHost: y\r\n\r\n",
        POST + b"Content-Length: 5\r\nA : b\r\n\r\n",
        CHUNKED + b"nonsense\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"1" * (MAX_HEAD_BYTES + 1),
        CHUNKED + b"0\r\n" + b"x" * (MAX_HEAD_BYTES + 1),
    ],
)
def test_what_others_refuse_is_not_waited_for(beginning: bytes) -> None:
    buffer = make(100_000 if beginning.startswith(CHUNKED) else LIMIT)
    buffer.append(beginning)
    assert buffer.is_whole()


@pytest.mark.parametrize(
    ("beginning", "status"),
    [
        (b"GET /" + b"a" * MAX_HEAD_BYTES, 414),
        (POST + b"A: b\r\n" * 20_000, 431),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (CHUNKED + b"3e9\r\n", 413),
        (CHUNKED + b"1\r\nx\r\n" * 20_000, 413),
    ],
)
def test_what_nobody_will_read_is_refused(beginning: bytes, status: int) -> None:
    buffer = make(LIMIT)
    buffer.append(beginning)
    with pytest.raises(HTTPException) as refusal:
        buffer.is_whole()
    assert refusal.value.code == status


@pytest.mark.parametrize("request_bytes", WHOLE)
def test_a_parser_that_wants_more_than_there_is_does_not_wait(request_bytes: bytes) -> None:
    buffer = make(LIMIT)
    buffer.append(request_bytes[:-1])
    with pytest.raises((NoMoreData, ParseException)):
        parsed(buffer)
