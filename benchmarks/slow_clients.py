"""How long others wait beside clients that are silent or slow: a running service, measured.

    .venv/bin/python -m benchmarks.slow_clients [--url http://127.0.0.1:8000] [--seconds 90]

500 clients connect and send nothing, 100 send one byte of a head per second, 100 one byte of a
body, 100 one byte of a body in chunks. Who is closed connects again. Meanwhile GET /healthz is
called, each time on a new connection. The exit code is 1 when its 99th percentile reaches 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import math
import multiprocessing
import statistics
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

TARGET_SECONDS = 0.1

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = POST + b"Content-Length: 100000\r\n\r\n"
CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n186a0\r\n"
CLIENTS = {b"": 500, HEAD: 100, BODY: 100, CHUNKS: 100}


@dataclass(frozen=True)
class Figures:
    """Times in seconds."""

    calls: int
    failed: int
    median: float
    p99: float
    longest: float


def measure(host: str, port: int, seconds: float) -> Figures:
    """Times of GET /healthz beside `CLIENTS`."""
    slow = multiprocessing.Process(target=_run_clients, args=(host, port), daemon=True)
    slow.start()
    try:
        time.sleep(3)  # until all are connected
        return _call(host, port, time.monotonic() + seconds)
    finally:
        slow.terminate()
        slow.join()


def _call(host: str, port: int, end: float) -> Figures:
    times, failed = [], 0
    while time.monotonic() < end:
        start = time.perf_counter()
        connection = http.client.HTTPConnection(host, port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            failed += connection.getresponse().status != 200
        except OSError:
            failed += 1
        finally:
            connection.close()
        times.append(time.perf_counter() - start)
        time.sleep(0.02)
    p99 = sorted(times)[math.ceil(0.99 * len(times)) - 1]
    return Figures(len(times), failed, statistics.median(times), p99, max(times))


def _run_clients(host: str, port: int) -> None:
    async def run() -> None:
        beginnings = [start for start, number in CLIENTS.items() for _ in range(number)]
        await asyncio.gather(*(_client(host, port, beginning) for beginning in beginnings))

    asyncio.run(run())


async def _client(host: str, port: int, beginning: bytes) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            closed = asyncio.ensure_future(reader.read())
            writer.write(beginning)
            while not closed.done():
                await asyncio.wait([closed], timeout=1)
                if beginning:
                    writer.write(b"a")
            writer.close()
            await asyncio.gather(closed, return_exceptions=True)
        await asyncio.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=90)
    arguments = parser.parse_args()
    url = urlsplit(arguments.url)
    found = measure(url.hostname or "127.0.0.1", url.port or 80, arguments.seconds)
    print(
        f"{found.calls} calls, {found.failed} failed: median {1000 * found.median:.1f} ms, "
        f"99 % within {1000 * found.p99:.1f} ms, all within {1000 * found.longest:.1f} ms"
    )
    return 0 if found.p99 < TARGET_SECONDS and not found.failed else 1


if __name__ == "__main__":
    sys.exit(main())
