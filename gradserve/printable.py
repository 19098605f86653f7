"""Text from elsewhere, made safe to print in a terminal."""

from __future__ import annotations

import re

# C0 and C1 controls, which move the cursor or begin a terminal command; separators that end a
# line; characters that change the direction of writing (Unicode's Bidi_Control).
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with each control character written as \\xNN or \\uNNNN."""
    return UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
