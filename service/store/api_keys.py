"""API keys: made, recognised, listed, revoked.

A key is `gs_`, a prefix of 8 hexadecimal digits by which it is found, and a secret of 64 (256
bits). Only the SHA-256 of the whole key is stored. A random secret of this length needs no slow
hash: nobody can try enough of them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from sqlalchemy import ColumnElement, Insert, Select, Update, bindparam, insert, select, update
from sqlalchemy.orm import Session

from service.common.errors import GradserveError
from service.store.clock import DATABASE_TIME
from service.store.owners import Owner
from service.store.tables import ApiKey

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""`read` looks, `write` submits and changes as well, `admin` also sees the metrics of everyone."""

KEY = re.compile(r"gs_([0-9a-f]{8})_[0-9a-f]{64}")
PREFIX = re.compile(r"[0-9a-f]{8}")
NAME = re.compile(r"[\w.@+ -]{1,100}")
# The time of the last use is written at most this often.
USE_SECONDS = 60


class BadKey(GradserveError):
    """A key that cannot be made, stored or revoked; the text says why."""


class Caller(NamedTuple):
    """Whose key it is, and what it allows."""

    owner: Owner
    prefix: str
    scopes: frozenset[str]
    last_used_at: float | None


def generate() -> str:
    """A new key, not stored yet."""
    return f"gs_{secrets.token_hex(4)}_{secrets.token_hex(32)}"


def store(
    session: Session,
    key: str,
    *,
    owner: str,
    name: str,
    scopes: Iterable[Scope] = SCOPES,
    lifetime_seconds: float | None = None,
    now: ColumnElement[float] = DATABASE_TIME,
) -> str:
    """Stores the hash of a key; returns its prefix, by which people name it.

    Raises:
        BadKey: it is not a key, is there already, or owner, name or scopes are not usable.
    """
    match = KEY.fullmatch(key)
    if match is None:
        raise BadKey("this is not a key: it must be gs_, 8 hexadecimal digits, _ and 64 of them")
    for what, text in (("owner", owner), ("name", name)):
        if not NAME.fullmatch(text):
            raise BadKey(f"the {what} {text!r} must have 1 to 100 letters, digits, blanks or .@+-_")
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise BadKey(f"scopes are {', '.join(SCOPES)}; at least one of them is needed")
    if session.scalar(select(ApiKey.prefix).where(ApiKey.prefix == match[1])) is not None:
        raise BadKey(f"there is a key {match[1]} already")
    session.execute(
        _insert(now, lifetime_seconds),
        {
            "prefix": match[1],
            "sha256": _sha256(key),
            "owner": owner,
            "name": name,
            "scopes": " ".join(scope for scope in SCOPES if scope in wanted),
        },
    )
    return match[1]


def find(session: Session, key: str, *, now: ColumnElement[float] = DATABASE_TIME) -> Caller | None:
    """Whose key this is; None where it is unknown, expired or revoked.

    A text that is not a key is not looked up, so that it takes no connection to the database.
    """
    match = KEY.fullmatch(key)
    row = None if match is None else session.execute(_find(now), {"of": match[1]}).one_or_none()
    # Compared also where nothing was found, so that both take the same time.
    stored = _sha256("") if row is None else row.sha256
    if not hmac.compare_digest(_sha256(key), stored) or row is None:
        return None
    return Caller(Owner(row.owner), row.prefix, frozenset(row.scopes.split()), row.last_used_at)


def note_use(session: Session, prefix: str, *, now: ColumnElement[float] = DATABASE_TIME) -> None:
    """Records that the key was used just now, unless that is recorded of the last minute."""
    session.execute(_note_use(now), {"of": prefix})


def everything(session: Session) -> Sequence[ApiKey]:
    """All keys, the oldest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.prefix)).all()


def usable(session: Session, *, now: ColumnElement[float] = DATABASE_TIME) -> bool:
    """Whether there is a key that somebody can get in with."""
    return session.scalar(select(ApiKey.prefix).where(*_valid(now)).limit(1)) is not None


def revoke(session: Session, prefix: str, *, now: ColumnElement[float] = DATABASE_TIME) -> None:
    """Ends a key at once. One that is revoked already stays so.

    Raises:
        BadKey: no key has this prefix.
    """
    known = PREFIX.fullmatch(prefix) and session.get(ApiKey, prefix)
    if not known:
        raise BadKey(f"there is no key {prefix!r}; `gradserve keys list` shows all")
    if known.revoked_at is None:
        session.execute(update(ApiKey).where(ApiKey.prefix == prefix).values(revoked_at=now))


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _valid(now: ColumnElement[float]) -> tuple[ColumnElement[bool], ...]:
    return ApiKey.revoked_at.is_(None), ApiKey.expires_at.is_(None) | (ApiKey.expires_at > now)


@lru_cache(maxsize=16)
def _find(now: ColumnElement[float]) -> Select[str, str, str, str, float | None]:
    key = ApiKey.__table__.c
    return select(key.prefix, key.sha256, key.owner, key.scopes, key.last_used_at).where(
        key.prefix == bindparam("of"),
        key.revoked_at.is_(None),
        key.expires_at.is_(None) | (key.expires_at > now),
    )


@lru_cache(maxsize=16)
def _note_use(now: ColumnElement[float]) -> Update:
    key = ApiKey.__table__.c
    old = key.last_used_at.is_(None) | (key.last_used_at < now - USE_SECONDS)
    return (
        update(ApiKey.__table__).where(key.prefix == bindparam("of"), old).values(last_used_at=now)
    )


def _insert(now: ColumnElement[float], lifetime_seconds: float | None) -> Insert:
    expires_at = None if lifetime_seconds is None else now + lifetime_seconds
    return insert(ApiKey.__table__).values(created_at=now, expires_at=expires_at)
