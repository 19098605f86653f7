"""Text becomes records: for each row that is not blank, the number of its line and its cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from engine.spec.tables.errors import TableError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
"""Every delimiter by its name, the most usual one first."""

WORD = re.compile(r'"(?:[^"]|"")*"|\S+')
"""A cell of a line whose cells are separated by blanks."""


class Record(NamedTuple):
    """A row of a table: the number of its first line from 1, and its cells without blanks."""

    line: int
    cells: list[str]


class Source(NamedTuple):
    """A text and what its first lines say about it.

    Attributes:
        text: the text without a byte-order mark.
        skipped: lines at the beginning that are no rows.
        delimiter: what a line such as `sep=;` names.
        comment: the last comment before the first row, without its `#`.
    """

    text: str
    skipped: int
    delimiter: str | None
    comment: str


def decode(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 if its byte-order mark says so.

    Raises:
        TableError: the bytes are not text in these encodings; the message names the line.
    """
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 if wide else len(list(lines(data[: error.start].decode() + "x")))
        raise TableError(f"line {line} is not UTF-8; save the file as UTF-8") from None


def source(text: str) -> Source:
    """Looks at the lines before the first row: a byte-order mark, `sep=`, comments."""
    # Spreadsheets begin UTF-8 with a byte-order mark, which is not part of the first cell.
    text = text.removeprefix("\ufeff")
    before, nul, _ = text.partition("\0")
    if nul:
        raise TableError(f"line {len(list(lines(before + nul)))} holds a NUL, which is not text")
    delimiter, comment, skipped, length = None, "", 0, 0
    for line in lines(text):
        if line.startswith("#"):
            comment = line[1:].strip()
        elif delimiter is None and (found := re.fullmatch(r"sep=([,;\t| ])\r?\n?", line, re.I)):
            delimiter = found[1]
        elif line.strip():
            break
        skipped, length = skipped + 1, length + len(line)
    return Source(text[length:], skipped, delimiter, comment)


def records(source: Source, delimiter: str, most: int | None = None) -> Iterator[Record]:
    """The rows that are not blank, `most` of them.

    A later line that begins with `#` is a comment as well, unless it has as many cells as the
    rows around it.
    """
    reading = Lines(source.text, delimiter)
    inner = "\t" if delimiter == " " else delimiter
    reader = csv.reader(reading, delimiter=inner, strict=True, skipinitialspace=True)
    line, count = source.skipped + 1, 0
    try:
        while most is None or count < most:
            reading.begins = True
            row = next(reader, None)
            if row is None:
                return
            cells = [cell.strip() for cell in row]
            line = source.skipped + reading.first
            if cells not in ([], [""]) and any(cells):
                reading.width = reading.width or len(cells)
                yield Record(line, cells)
                count += 1
            line = source.skipped + reading.number + 1
    except csv.Error as error:
        raise TableError(f"line {line} is not CSV: {error}") from None


class Lines:
    """The lines of a text for `csv.reader`, without comments between the rows."""

    def __init__(self, text: str, delimiter: str) -> None:
        self.lines = iter(lines(text))
        self.delimiter = delimiter
        self.number = 0
        self.first = 0
        self.width = 0
        self.begins = True

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number += 1
        if self.begins:
            while line[0] == "#" and line.count(self.delimiter) + 1 != self.width:
                line = next(self.lines)
                self.number += 1
            self.first, self.begins = self.number, False
        return tabbed(line) if self.delimiter == " " else line


def tabbed(line: str) -> str:
    """A line whose cells are separated by any number of blanks, with one tab between them."""
    return "\t".join(WORD.findall(line) if '"' in line else line.split()) + "\n"


def lines(text: str) -> Iterator[str]:
    """The lines with their ends, which may belong to a quoted cell.

    Only \\r, \\n and \\r\\n end a line.
    """
    return iter(io.StringIO(text, newline=""))
