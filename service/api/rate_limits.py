"""How many requests per second a sender may make, and how often a peer may try a wrong key.

The requests of a sender who makes many are counted in the broker's Redis or Valkey, so that all
API processes of a service count together. While that does not answer, each process counts its own.
Wrong keys are counted in the process: whoever guesses is not to fill the broker's memory.

The header fields are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Flask, Response, g, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.api.problems import problem
from service.common.settings import Settings

# Asked by machines every few seconds, which must see the service also while somebody floods it.
EXEMPT = frozenset({"/healthz", "/readyz", "/metrics"})

# Redis counts within a tenth of a millisecond. One that takes this long is not waited for, and
# not asked for a while.
COUNT_SECONDS = 0.2
AWAY_SECONDS = 5.0

# Up to this part of the limit a sender's requests are counted in the process alone: on two busy
# cores a look at Redis adds 1 to 2 ms to the 3 ms of a small request. With N processes of the API
# a sender may so get N tenths more than the limit.
ALONE_PART = 10

# A wrong key is a mistake; this many within a minute are a program that guesses.
FAILURES = RateLimitItemPerMinute(20)


class RequestCounter:
    """Counts the requests of each sender within the current second.

    Args:
        limit: requests per second.
        broker_url: the setting; nothing connects before it is needed.
    """

    def __init__(self, limit: int, broker_url: str) -> None:
        self._alone = limit // ALONE_PART
        self._lock = threading.Lock()
        self._second = 0
        self._own: Counter[str] = Counter()
        self._ask_again = 0.0
        self._shared = RedisStorage(
            redis_url(broker_url),
            key_prefix="gradserve:requests",
            socket_timeout=COUNT_SECONDS,
            socket_connect_timeout=COUNT_SECONDS,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]
        )

    def add(self, sender: str) -> int:
        """Counts one more request; returns how many there were within this second."""
        second = int(time.time())
        with self._lock:
            if second != self._second:
                self._second, self._own = second, Counter()
            self._own[sender] += 1
            own = self._own[sender]
        if own <= self._alone:
            return own
        return self._add_shared(f"{sender}/{second}", own)

    def _add_shared(self, key: str, own: int) -> int:
        now = time.monotonic()
        if now < self._ask_again:
            return own
        if self._ask_again:
            # Of the requests after an outage one asks Redis, and the others do not wait.
            self._ask_again = now + AWAY_SECONDS
        try:
            # The first that is shared brings those before it.
            count = self._shared.incr(key, 1, own if own == self._alone + 1 else 1)
        except RedisError:
            self._ask_again = time.monotonic() + AWAY_SECONDS
            return own
        self._ask_again = 0.0
        return count


class FailedTries:
    """Requests without a valid key, by the address that sent them."""

    def __init__(self) -> None:
        self._counter = FixedWindowRateLimiter(MemoryStorage())

    def add(self, address: str) -> int | None:
        """Counts one more; returns the seconds to wait where they are too many."""
        if self._counter.hit(FAILURES, address):
            return None
        reset, _ = self._counter.get_window_stats(FAILURES, address)
        return max(1, round(reset - time.time()))


def register(app: Flask, settings: Settings, sender: Callable[[], str]) -> None:
    """Refuses requests beyond the limit, and tells in every counted answer how many are left.

    `sender` names whose request it is. Register this after what finds that out.
    """
    limit = settings.max_requests_per_second
    if not limit:
        return
    counter = RequestCounter(limit, settings.broker_url)

    @app.before_request
    def count() -> Response | None:
        if request.path in EXEMPT or request.method == "OPTIONS":
            return None
        g.requests_left = limit - counter.add(sender())
        return None if g.requests_left >= 0 else too_many(limit)

    @app.after_request
    def tell(answer: Response) -> Response:
        if "requests_left" in g:
            answer.headers["RateLimit-Policy"] = f'"requests";q={limit};w=1'
            answer.headers["RateLimit"] = f'"requests";r={max(0, g.requests_left)};t=1'
        return answer


def too_many(limit: int) -> Response:
    answer = problem(
        429,
        "too-many-requests",
        "Too many requests",
        f"at most {limit:,} requests per second are answered to one sender: send fewer, and "
        "this one again after a second",
    )
    answer.headers["Retry-After"] = "1"
    return answer


def redis_url(broker_url: str) -> str:
    """The broker's address, which the setting has as kombu reads it, as redis-py reads it."""
    parts = urlsplit(broker_url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme == "redis+socket":
        database = options.get("virtual_host", "0").strip("/") or "0"
        return f"redis+unix://{parts.path}?db={database}"
    if "ssl_cert_reqs" in options:
        options["ssl_cert_reqs"] = options["ssl_cert_reqs"].removeprefix("CERT_").lower()
    return parts._replace(query=urlencode(options)).geturl()
