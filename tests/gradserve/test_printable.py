"""Control characters in text from elsewhere."""

import pytest

from gradserve.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Prüfung 训练 👩‍🚀 [b]\\", "Prüfung 训练 👩‍🚀 [b]\\"),
        ("\x1b[2Ja\tb\n", "\\x1b[2Ja\\x09b\\x0a"),
        ("\x00\x1f\x7f\x9b31m\x9f", "\\x00\\x1f\\x7f\\x9b31m\\x9f"),
        ("gnp.\u202eexe\u2066\u200f", "gnp.\\u202eexe\\u2066\\u200f"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_controls_are_shown_not_obeyed(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
