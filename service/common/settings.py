"""Settings from GRADSERVE_* variables: one frozen object, checked before anything starts.

Each field carries its help text, so that the table of variables in the documentation is
generated from here (`table`) and cannot drift from the code.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.common import addresses
from service.common.errors import ConfigError

PREFIX = "GRADSERVE_"
# Names that are not the service's: a service started by the tests or from a shell set up for
# the `gradserve` command inherits them.
TEST_PREFIX = "GRADSERVE_TEST_"
CLIENT_NAMES = ("GRADSERVE_URL", "GRADSERVE_API_KEY", "GRADSERVE_INSECURE_HTTP")

AUTH_MODES = ("auto", "keys", "proxy", "off")
RENAMED = {
    "GRADSERVE_SWEEP_SECONDS": "GRADSERVE_RECOVERY_SECONDS",
    "GRADSERVE_RING_SECONDS": "GRADSERVE_REPUBLISH_SECONDS",
}
"""Names of version 0.1, accepted for one version, and the names that took their place."""

BROKER_SCHEMES = ("redis", "rediss", "redis+socket")
# How kombu spells the three ways to check a server's certificate.
CERT_REQS = ("required", "optional", "none", "CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE")
# What may stand behind the question mark; kombu fails on anything else when it connects.
TLS_OPTIONS = (
    "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password",
    "ssl_check_hostname",
)  # fmt: skip
SOCKET_OPTIONS = ("virtual_host",)

ABOVE_ZERO = (
    "lease_seconds", "recovery_seconds", "turn_seconds", "republish_seconds", "progress_seconds",
    "request_seconds", "max_deadline_seconds", "max_artifact_seconds",
)  # fmt: skip
AT_LEAST_ONE = (
    "max_body_bytes", "max_large_bodies", "checkpoint_bytes_per_job", "max_job_work",
    "max_job_memory_bytes", "min_free_bytes", "max_stored_bytes_per_owner",
    "max_queued_jobs_per_owner", "max_artifact_bytes", "max_waiting_requests",
)  # fmt: skip
# 0 means that there is no limit.
AT_LEAST_ZERO = ("max_requests_per_second", "max_running_jobs_per_owner")


def _field(default: Any, help: str, *, secret: bool = False) -> Any:
    return dataclasses.field(default=default, metadata={"help": help}, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process of the service. Construction checks every value.

    Raises:
        ConfigError: with one sentence that names the variable, what is wrong and what is right.
    """

    data_dir: str = _field("var", "Folder for the embedded database and broker.")
    database_url: str = _field(
        "",
        "Where jobs are stored: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`. "
        "Empty means the file gradserve.db in the data folder.",
        secret=True,
    )
    broker_url: str = _field(
        "redis://127.0.0.1:6379/0",
        "Redis or Valkey that carries the messages: `redis://[:PASSWORD@]HOST:PORT/DB`, "
        "`rediss://…` or `redis+socket:///PATH`.",
        secret=True,
    )
    auth: str = _field(
        "auto",
        "Who may send requests: `keys` (each needs an API key), `proxy` (a trusted proxy names the "
        "user in a header; keys work as well), `off` (everybody, as the owner `local`), or `auto`: "
        "`off` while `gradserve up` listens on loopback addresses only, else `keys`.",
    )
    proxy_user_header: str = _field(
        "X-Forwarded-User", "Header in which a trusted proxy names the user, in the mode `proxy`."
    )
    first_api_key: str = _field(
        "",
        "An API key of the owner `local` with every scope, stored by the migration while there is "
        "no key at all.",
        secret=True,
    )
    lease_seconds: float = _field(
        20.0, "A worker that has not renewed its lease for this long loses its job."
    )
    recovery_seconds: float = _field(2.0, "How often recovery looks for lost leases.")
    turn_seconds: float = _field(
        60.0,
        "A job that has trained this long gives way while somebody waits who has fewer running "
        "jobs than its owner; it resumes when its turn comes again.",
    )
    republish_seconds: float = _field(
        15.0, "A job still queued this long after its message was sent gets another one."
    )
    progress_seconds: float = _field(
        0.5, "How often a worker writes progress, history and a checkpoint."
    )
    heartbeat_file: str = _field(
        "", "File that a worker or recovery touches while it works, for health checks."
    )
    max_body_bytes: int = _field(
        8 * 2**20,
        "Largest request body that the API reads. Storing one takes six times as much memory when "
        "its numbers have all their digits, up to fifty times when they have one.",
    )
    max_large_bodies: int = _field(
        1,
        "Bodies above 16 KiB that are read and stored at the same time; others wait for up to 20 "
        "seconds. Each takes the memory that `GRADSERVE_MAX_BODY_BYTES` tells of.",
    )
    allowed_hosts: str = _field(
        "",
        "Names and addresses, separated by commas, by which the API may be called beside those of "
        "this machine itself (`localhost`, `127.0.0.1`, `[::1]`) and the `--host` of "
        "`gradserve up`. A request whose Host header names another one is refused.",
    )
    cors_origins: str = _field(
        "",
        "Origins such as `https://app.example.org`, separated by commas, whose pages may use the "
        "API from a browser. Empty: only its own pages.",
    )
    trusted_proxies: str = _field(
        "",
        "Addresses and networks of proxies, separated by commas, whose `X-Forwarded-For`, `-Proto`,"
        " `-Host`, `-Port`, `-Prefix` and `SCRIPT_NAME` headers count, and the user that they name "
        "in the mode `proxy`. Empty: nobody's.",
    )
    request_seconds: float = _field(
        30.0,
        "Longest that a client of the API may take to send a request, its body included, and to "
        "receive the answer. Raise it for large ones over slow lines: 8 MiB in 30 seconds are 2.2 "
        "Mbit/s.",
    )

    checkpoint_bytes_per_job: int = _field(
        128 * 2**20,
        "Room for the checkpoints of one job. Where they are large, fewer are kept for looking "
        "back; the newest two, which it resumes from, are kept whatever they take.",
    )
    max_job_work: int = _field(
        10**15,
        "Most multiplications that a job may take: about 8 hours of one core with wide layers, up "
        "to some days with narrow ones. The scalar executor's count 10,000 times.",
    )
    max_deadline_seconds: float = _field(
        7 * 24 * 3600.0, "Longest `deadline_seconds` that a job may ask for."
    )
    max_job_memory_bytes: int = _field(
        2 * 2**30,
        "Most memory that a job may take beside the 300 MB that its worker takes for any. One that "
        "seems to need more is refused: a network takes 1 kB for each parameter. One that grows "
        "beyond it fails as `out_of_memory`.",
    )
    max_artifact_bytes: int = _field(
        256 * 2**20,
        "Room for answers that took time to compute, such as the parameters of a step that was not "
        "kept. Above it the oldest are dropped, and computed again for whoever asks.",
    )
    max_artifact_seconds: float = _field(
        300.0, "Longest that the computation of one such answer may take."
    )
    max_waiting_requests: int = _field(
        16,
        "Requests that may wait at the same time for answers that are being computed, each in one "
        "of the API's 64 threads. Beyond it a request is answered with 202 at once.",
    )
    min_free_bytes: int = _field(
        256 * 2**20,
        "Free space that must remain on the disk of a SQLite file, a tenth of the disk at most. "
        "With less, new jobs are refused, and with half of it running ones wait; what is stored "
        "can still be cancelled and deleted.",
    )

    max_stored_bytes_per_owner: int = _field(
        20 * 2**30,
        "Room that the jobs and data sets of one owner may take in the database: a job counts with "
        "the most that it takes until it has succeeded, and one that failed or was cancelled with "
        "what it takes. Beyond it new ones are refused with 507 until some are deleted.",
    )
    max_queued_jobs_per_owner: int = _field(
        20_000, "Most jobs of one owner that wait. Beyond it new jobs are refused with 429."
    )
    max_running_jobs_per_owner: int = _field(
        0, "Most jobs of one owner that are trained at the same time. 0: no limit."
    )
    max_requests_per_second: int = _field(
        500,
        "Most requests per second of one owner, or of one address in the mode `off`. More are "
        "refused with 429; `/healthz`, `/readyz` and `/metrics` do not count. 0: no limit.",
    )

    def __post_init__(self) -> None:
        if not self.data_dir:
            raise ConfigError(f"{PREFIX}DATA_DIR is empty: it must name a folder")
        url = self.database_url or f"sqlite:///{self.data_dir}/gradserve.db"
        object.__setattr__(self, "database_url", _database_url(url))
        object.__setattr__(self, "broker_url", _broker_url(self.broker_url))
        for name in ABOVE_ZERO:
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise ConfigError(
                    f"{env_name(name)} is {seconds!r}: it must be a number of seconds above 0"
                )
        if self.lease_seconds <= self.progress_seconds:
            raise ConfigError(
                f"{PREFIX}LEASE_SECONDS ({self.lease_seconds:g}) must be longer than "
                f"{PREFIX}PROGRESS_SECONDS ({self.progress_seconds:g}), or every lease runs out"
            )
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{env_name(name)} is {getattr(self, name)}: it must be at least 1"
                )
        for name in AT_LEAST_ZERO:
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{env_name(name)} is {getattr(self, name)}: it must be at least 0, which "
                    "means no limit"
                )
        if self.auth not in AUTH_MODES:
            raise ConfigError(
                f"{PREFIX}AUTH is {self.auth!r}: it must be one of {', '.join(AUTH_MODES)}"
            )
        if self.auth == "proxy" and not self.trusted_proxies:
            raise ConfigError(
                f"{PREFIX}AUTH is 'proxy': {PREFIX}TRUSTED_PROXIES must name the proxy's address"
            )
        if not re.fullmatch("[A-Za-z][A-Za-z0-9-]*", self.proxy_user_header):
            raise ConfigError(
                f"{PREFIX}PROXY_USER_HEADER is {self.proxy_user_header!r}: "
                "it must be the name of a header"
            )
        # Each of them raises for an entry that is not one.
        _ = self.host_set, self.origin_set, self.proxy_networks

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Reads every GRADSERVE_* variable; one that is not a setting is an error."""
        fields = {env_name(field.name): field for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, text in environ.items():
            if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX) or name in CLIENT_NAMES:
                continue
            current = RENAMED.get(name, name)
            if current not in fields:
                raise ConfigError(f"{name} is not a setting of gradserve: {_hint(name, fields)}")
            if not text:  # compose files pass what is unset as an empty text
                continue
            field = fields[current]
            value = _parse(name, text, type(field.default))
            if field.name in values and values[field.name] != value:
                old = next(old for old, new in RENAMED.items() if new == current)
                raise ConfigError(f"{old} and {current}, its new name, differ: remove {old}")
            values[field.name] = value
            if name != current:
                print(f"gradserve: {name} is now called {current}; rename it", file=sys.stderr)
        return cls(**values)

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def sqlite_file(self) -> Path | None:
        """The file of a SQLite database; None for Postgres, and where it is named by a URI."""
        database = make_url(self.database_url).database
        if not self.sqlite or not database or database.startswith("file:"):
            return None
        return Path(database)

    @property
    def host_set(self) -> frozenset[str]:
        """`allowed_hosts`, in the form of `addresses.host_of`."""
        return addresses.hosts(f"{PREFIX}ALLOWED_HOSTS", self.allowed_hosts)

    @property
    def origin_set(self) -> frozenset[str]:
        """`cors_origins`, as browsers send them."""
        return addresses.origins(f"{PREFIX}CORS_ORIGINS", self.cors_origins)

    @property
    def proxy_networks(self) -> tuple[addresses.Network, ...]:
        return addresses.networks(f"{PREFIX}TRUSTED_PROXIES", self.trusted_proxies)


class Row(NamedTuple):
    """One variable of the documentation's table."""

    variable: str
    default: str
    help: str


def table() -> list[Row]:
    """Every variable with its default and what it is for."""
    return [
        Row(env_name(field.name), str(field.default), field.metadata["help"])
        for field in dataclasses.fields(Settings)
    ]


def env_name(field: str) -> str:
    return PREFIX + field.upper()


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*known, *RENAMED], n=1)
    if near:
        return f"did you mean {RENAMED.get(near[0], near[0])}?"
    return f"known are {', '.join(known)}"


def _parse(name: str, text: str, kind: type[Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        wanted = {float: "a number", int: "a whole number"}[kind]
        raise ConfigError(f"{name} is {text!r}: it must be {wanted}") from None


def _database_url(text: str) -> str:
    name = f"{PREFIX}DATABASE_URL"
    examples = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text itself may hold a password, so it is not repeated.
        raise ConfigError(f"{name} is not an address: it must look like {examples}") from None
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return _with_driver(url, "postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:"):
            raise ConfigError(
                f"{name} must name a file: the API and the workers share the database, "
                "which an in-memory one cannot do"
            )
        return _with_driver(url, "sqlite")
    raise ConfigError(f"{name} has the scheme {url.drivername!r}: it must look like {examples}")


def _with_driver(url: URL, driver: str) -> str:
    return url.set(drivername=driver).render_as_string(hide_password=False)


def _broker_url(text: str) -> str:
    """The address, made to check certificates unless it says how to."""
    parts = _broker_parts(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = SOCKET_OPTIONS if parts.scheme == "redis+socket" else TLS_OPTIONS
    for option in options:
        if option not in known:
            # With an @ it is half of a password with a question mark in it: not repeated.
            named = "an unknown option" if "@" in parts.query else f"the option {option!r}"
            raise ConfigError(
                f"{PREFIX}BROKER_URL has {named}: {parts.scheme} knows {', '.join(known)}"
            )
    cert_reqs = options.get("ssl_cert_reqs") or None
    if cert_reqs is not None and cert_reqs not in CERT_REQS:
        raise ConfigError(
            f"{PREFIX}BROKER_URL has ssl_cert_reqs={cert_reqs!r}: "
            "it must be required, optional or none"
        )
    if parts.scheme == "rediss" and cert_reqs is None:
        # Without it kombu accepts any certificate, also that of an impostor.
        query = "&".join(filter(None, (parts.query, "ssl_cert_reqs=required")))
        return parts._replace(query=query).geturl()
    return text


def _broker_parts(text: str) -> SplitResult:
    name = f"{PREFIX}BROKER_URL"
    try:
        parts = urlsplit(text)
        usable = parts.path if parts.scheme == "redis+socket" else parts.hostname
        # Both may raise: where the port is not a number, and where no host can have such a name.
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        usable = None
    # After a semicolon kombu would read another address, which nothing here has checked.
    if not usable or parts.scheme not in BROKER_SCHEMES or ";" in text:
        raise ConfigError(
            f"{name} must look like redis://HOST:PORT/DB, rediss://HOST:PORT/DB "
            "or redis+socket:///PATH"
        )
    if parts.scheme != "redis+socket" and not re.fullmatch("/?[0-9]*", parts.path):
        # It may be half of a password with a slash in it, so it is not repeated.
        raise ConfigError(
            f"{name} ends in a database that is not a number: it must look like "
            f"{parts.scheme}://HOST:PORT/DB, where DB counts from 0"
        )
    return parts
