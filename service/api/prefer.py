"""The header `Prefer` (RFC 7240): how long a client wants to wait for an answer."""

from __future__ import annotations

import re

from pydantic import BaseModel, Field

DEFAULT_SECONDS = 10
# A proxy in front gives up after a minute, as a rule.
MOST_SECONDS = 30

PREFERENCE = re.compile(r'\s*([^\s=;,"]+)\s*(?:=\s*("[^"]*"|[^\s;,]*))?[^,]*')


class PreferHeader(BaseModel):
    prefer: str | None = Field(
        default=None,
        alias="Prefer",
        description="`wait=N` waits up to N seconds (10 by default, at most 30) for an answer that "
        "takes time to compute; `respond-async` does not wait. What takes longer is answered "
        "with 202",
    )


def wait_seconds(prefer: str | None) -> tuple[int, str | None]:
    """How long to wait, and the value of `Preference-Applied`; None where nothing was preferred.

    What cannot be read is ignored, as the RFC wants it.
    """
    found: dict[str, str] = {}
    for part in (prefer or "").split(","):
        match = PREFERENCE.match(part)
        if match:
            # The first of several counts.
            found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
    wait = found.get("wait", "")
    if re.fullmatch("[0-9]{1,9}", wait):
        seconds = min(int(wait), MOST_SECONDS)
        return seconds, f"wait={seconds}"
    if "respond-async" in found:
        return 0, "respond-async"
    return DEFAULT_SECONDS, None
