"""`Gradserve.datasets`: data sets that are uploaded once and named by many jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from gradserve.errors import ClientError
from gradserve.http import Transport, document
from gradserve.types import Dataset, DatasetRow, Datasets

PAGE = 100
ROWS_PAGE = 10_000
# The least speed at which a service on a busy core reads and stores a table.
BYTES_PER_SECOND = 500_000


class DatasetsClient:
    """The data sets of one service. Every method raises `gradserve.ClientError` as the client's."""

    def __init__(self, http: Transport) -> None:
        self._http = http

    def create(
        self,
        source: str | Path | bytes | Mapping[str, Any],
        *,
        name: str | None = None,
        header: bool | None = None,
        target: str | int | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        missing: str | None = None,
        ignore: Sequence[str | int] | None = None,
    ) -> Dataset:
        """Uploads a data set and returns what was read of it.

        Args:
            source: the path of a CSV file, the bytes of one, or the specification of any data set,
                as in a job's `dataset`.
            name: what to call it in lists; by default the name of the file.
            header: whether the first row holds the names of the columns.
            target: the column to predict, by name or by position from 0; by default the last one.
            missing: `refuse` gaps, `drop` their rows, or fill them with the `mean`.
            ignore: columns to leave out, by names or positions.

        What is left out about a CSV file is found out from it. The options beside `name` belong to
        CSV; a specification has them as fields.
        """
        if isinstance(source, str | Path):
            name = Path(source).name if name is None else name
        query = {
            "name": name,
            "header": None if header is None else str(header).lower(),
            "target": target,
            "delimiter": delimiter,
            "decimal": decimal,
            "missing": missing,
            "ignore": None if ignore is None else ",".join(map(_cell, ignore)),
        }
        content, media_type = _body(source)
        response = self._http.send(
            "POST",
            "/v1/datasets",
            params={field: value for field, value in query.items() if value is not None},
            content=content,
            headers={"Content-Type": media_type},
            timeout=self._http.timeout + len(content) / BYTES_PER_SECOND,
            # Repeated after a lost answer, it would be stored twice.
            retry_seconds=0,
        )
        return cast(Dataset, document(response))

    def list(self, *, limit: int = 20, name: str | None = None) -> Datasets:
        """At most `limit` data sets, the newest first, of one name if it is given."""
        query: dict[str, Any] = {} if name is None else {"name": name}
        found: Datasets = []
        while len(found) < limit:
            query["limit"] = min(limit - len(found), PAGE)
            page = document(self._http.send("GET", "/v1/datasets", params=query))
            found += page["items"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        return found

    def retrieve(self, id: str) -> Dataset:
        """What was read of a data set: its columns and its target in figures."""
        return cast(Dataset, document(self._http.send("GET", _path(id))))

    def rows(self, id: str, *, after_row: int = -1) -> Iterator[DatasetRow]:
        """Yields the rows above `after_row`, with texts, booleans and classes by name."""
        following: int | None = after_row
        while following is not None:
            query = {"after_row": following, "limit": ROWS_PAGE}
            page = document(self._http.send("GET", _path(id, "rows"), params=query))
            yield from page["items"]
            following = page["next_after_row"]

    def delete(self, id: str) -> None:
        """Deletes a data set, unless a job that has not ended needs it."""
        self._http.send("DELETE", _path(id))


def _body(source: str | Path | bytes | Mapping[str, Any]) -> tuple[bytes, str]:
    """The bytes to send, and their media type."""
    if isinstance(source, Mapping):
        return json.dumps(dict(source), allow_nan=False).encode(), "application/json"
    if isinstance(source, bytes):
        return source, "text/csv"
    try:
        return Path(source).read_bytes(), "text/csv"
    except OSError as error:
        raise ClientError(f"Cannot read {source}: {error.strerror}") from None


def _cell(column: str | int) -> str:
    """A column in a list with commas."""
    text = str(column)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text


def _path(id: str, *rest: str) -> str:
    return "/".join(["/v1/datasets", quote(id, safe=""), *rest])
