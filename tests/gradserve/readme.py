"""The code blocks of the README, each with the output that the page shows below it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    code: str
    output: str | None
    """The output that the page shows, in which … stands for any text; None if it shows none."""


def blocks(heading: str) -> list[Block]:
    """The blocks of one section, in order."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    found: list[Block] = []
    for language, text in FENCE.findall(section):
        if language:
            found.append(Block(language, text, None))
        else:
            found[-1] = found[-1]._replace(output=text)
    return found


def matches(shown: str, printed: str) -> bool:
    """Whether the printed output matches the page."""
    pattern = ".*".join(re.escape(part) for part in shown.rstrip("\n").split("…"))
    return re.fullmatch(pattern, printed.rstrip("\n"), re.DOTALL) is not None
