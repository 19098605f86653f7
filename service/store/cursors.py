"""Cursors: the place of a page in a list, as text that a client sends back.

They tell nothing of others' rows, and hold no number of a row, so that deleting while somebody
turns the pages is safe.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from sqlalchemy import ColumnElement, select

from service.common.errors import InvalidCursor


def pack(text: str) -> str:
    """The cursor that says this."""
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def unpack(cursor: str, form: re.Pattern[bytes]) -> re.Match[bytes]:
    """What a cursor says. Raises InvalidCursor where it has another form."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        match = form.fullmatch(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error):
        match = None
    if match is None:
        raise InvalidCursor
    return match


class NewestFirst:
    """The pages of a table whose rows are listed by the time of their creation, newest first.

    Args:
        table: a mapped class with `created_at`, `pk` and `id`.
        noun: what its rows are called in a cursor.
        prefix: what its ids begin with.
    """

    def __init__(self, table: Any, noun: str, prefix: str) -> None:
        self._table = table
        self._noun = noun
        time, id = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)", f"({prefix}_[0-9a-f]{{24}})"
        self._form = re.compile(f"{noun} before {time} {id}".encode())
        self.order = (table.created_at.desc(), table.pk.desc())

    def cursor(self, row: Any) -> str:
        """The cursor of the page after this row."""
        return pack(f"{self._noun} before {row.created_at!r} {row.id}")

    def after(self, cursor: str) -> ColumnElement[bool]:
        """The rows after the one at the cursor, which may be deleted by now.

        Raises InvalidCursor where it is none of this list.
        """
        match = unpack(cursor, self._form)
        created_at, id = float(match[1]), match[2].decode()
        table = self._table
        place = select(table.pk).where(table.id == id).scalar_subquery()
        # Where that one is deleted, those made in the same instant are shown again, and none is
        # missed.
        same_time = (table.created_at == created_at) & ((table.pk < place) | place.is_(None))
        later: ColumnElement[bool] = (table.created_at < created_at) | same_time
        return later
