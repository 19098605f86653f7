"""Hostile requests are refused clearly by a running service, in little memory."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.fuzz.live import Live
from tests.fuzz.payloads import Payload, payloads
from tests.processes import children

AT_ONCE = 8
MOST_BYTES = 300 * 2**20


def test_each_is_refused_with_its_place_and_all_of_them_in_little_memory(
    live: Live, record_property: Callable[[str, object], None]
) -> None:
    table = list(payloads(live.keys["ada"]))
    assert len(table) >= 200
    (api,) = children(live.up.part("api"))
    before = memory(api, "VmRSS")
    Path(f"/proc/{api}/clear_refs").write_text("5")  # the peak counts from here
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda payload: send(live, payload.request), table))
    mistakes = [
        f"{payload.name}: {mistake}"
        for payload, answer in zip(table, answers, strict=True)
        if (mistake := wrong(payload, answer))
    ]
    assert not mistakes, "\n".join(mistakes)
    assert children(live.up.part("api")) == [api]
    taken = memory(api, "VmHWM") - before
    assert taken <= MOST_BYTES
    record_property(
        "searched", f"{len(table)} payloads: the API took up to {taken / 2**20:.0f} MiB more"
    )


def memory(pid: int, name: str) -> int:
    """A figure of /proc/PID/status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found
    return int(found[1]) * 1024


def send(live: Live, request: bytes) -> bytes:
    """The whole answer; the service may stop reading the request before its end."""
    url = live.up.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=60) as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
        return b"".join(received(connection))


def received(connection: socket.socket) -> Iterator[bytes]:
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            yield part


def wrong(payload: Payload, answer: bytes) -> str:
    """What is wrong with the answer; empty where nothing is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else 0
    if status != payload.status:
        return f"{status} instead of {payload.status}: {body[:300]!r}"
    if b"\r\nContent-Type: application/problem+json" not in head:
        return f"no problem: {head!r}"
    problem = json.loads(body)
    if problem["status"] != status or not problem["detail"] or not problem["title"]:
        return f"not all of a problem: {problem}"
    if status != 422:
        return ""
    places = [error["pointer"] for error in problem["errors"]]
    assert payload.place is not None, payload.name
    if any(fits(place, payload.place) for place in places):
        return ""
    return f"names {places[:3]} instead of {payload.place}"


def fits(found: str, place: str) -> bool:
    """Whether a pointer leads to the place, below it, or to the object whose `kind` it is."""
    return found == place or found.startswith(f"{place}/") or f"{found}/kind" == place
