"""Services for the tests that search for requests that break them.

`make fuzz` sets GRADSERVE_TEST_EXAMPLES, how many requests each operation gets, and
`--hypothesis-seed`; without them the search is a short one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.fuzz.live import Live, service

EXAMPLES = int(os.environ.get("GRADSERVE_TEST_EXAMPLES", "0"))
"""0 where the search is short."""


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service on SQLite, for all tests of a process."""
    with service(tmp_path_factory.mktemp("live")) as found:
        yield found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what was searched: a search that found nothing must say how far it went."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "searched":
                terminalreporter.write_line(str(value))
