"""The table of hostile requests in `payloads.toml`, as bytes that are sent as they stand."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.specs import MOONS, vary

TABLE = Path(__file__).with_name("payloads.toml")
REPEATED = re.compile("⟦(.*?)×([0-9]+)⟧", re.DOTALL)
LAST_VERSION = re.compile(r" HTTP/\d\.\d$")

FULL = vary(
    MOONS,
    optimizer={"momentum": 0.9, "nesterov": True, "clip_norm": 1.0},
    training={
        "batch_size": 10,
        "validation_fraction": 0.2,
        "early_stopping": {"patience": 3, "min_delta": 0.0, "restore_best": True},
        "keep": "best",
        "deadline_seconds": 60.0,
        "log_every": 1,
        "checkpoint_every": 10,
    },
) | {"executor": "native", "parent_id": None}
"""A good specification in which every field stands."""


@dataclass(frozen=True)
class Payload:
    """`place` is the pointer that a 422 names, or one above it; `request` is sent as it stands."""

    name: str
    request: bytes
    status: int
    place: str | None = None


def payloads(key: str) -> Iterator[Payload]:
    """All of them, for the owner of the key."""
    table = tomllib.loads(TABLE.read_text())
    for group in table["wrong"]:
        for place in group["places"]:
            for value in group["values"]:
                body = changed(FULL, place, expand(value))
                yield Payload(f"{place} {value[:20]}", post(key, body), 422, place)
    for name, text, fields in table["csv"]["rows"]:
        text = expand(json.loads(f'"{text}"'.replace("\n", "\\n")))
        dataset = {"kind": "csv", "text": text} | json.loads(fields)
        body = json.dumps(MOONS | {"dataset": dataset}).encode()
        yield Payload(f"CSV: {name}", post(key, body), 422, "/dataset")
    for name, body, status, *place in table["body"]["rows"]:
        yield Payload(name, post(key, expand(body).encode()), status, *place)
    for name, line, headers, status, *place in table["head"]["rows"]:
        lines = [expand(header) for header in headers]
        yield Payload(name, request(key, expand(line), lines), status, *place)


def expand(text: str) -> str:
    return REPEATED.sub(lambda found: found[1] * int(found[2]), text)


def changed(spec: dict[str, Any], pointer: str, value: str) -> bytes:
    """The specification as JSON, with raw JSON text in place of the value at the pointer."""
    spec = copy.deepcopy(spec)
    *path, last = (part.replace("~1", "/") for part in pointer.split("/")[1:])
    place: Any = spec
    for part in path:
        place = place[int(part) if isinstance(place, list) else part]
    place[int(last) if isinstance(place, list) else last] = "@@"
    return json.dumps(spec).replace('"@@"', value).encode()


def post(key: str, body: bytes) -> bytes:
    return request(key, "POST /v1/jobs", [], body)


def request(key: str, line: str, headers: list[str], body: bytes | None = None) -> bytes:
    """A request with the headers of a good one, except for those that are given."""
    if body is None:
        body = json.dumps(MOONS).encode() if line.startswith("POST") else b""
    good = {"Host": "localhost", "Authorization": f"Bearer {key}", "Connection": "close"}
    if body or line.startswith("POST"):
        good |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    given = {header.partition(":")[0].strip() for header in headers}
    if "Transfer-Encoding" in given:
        given.add("Content-Length")
    lines = [line if LAST_VERSION.search(line) else f"{line} HTTP/1.1", *headers]
    lines += [f"{name}: {value}" for name, value in good.items() if name not in given]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
