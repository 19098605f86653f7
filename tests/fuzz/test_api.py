"""Whatever Schemathesis sends to the operations of the document, it gets what that promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import _fresh_postgres
from tests.fuzz.conftest import EXAMPLES
from tests.fuzz.live import Live, service
from tests.fuzz.schemathesis_run import Result, run

# The first two have no parameters, and few requests to them differ. Schemathesis deletes seldom, so
# that other requests still find what they are about.
SELDOM = {"healthz", "readyz", "delete_job", "delete_dataset"}
# Some addresses are too long to be read, and count for no operation.
READ = 0.9


def look(live: Live, folder: Path, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("--hypothesis-seed") or 1
    document = live.people["ada"].get("/openapi.json").json()
    if EXAMPLES:
        result = run(live, folder, examples=EXAMPLES, seed=int(seed))
    else:
        result = run(live, folder, examples=8, seed=int(seed), phases="examples,fuzzing")
    assert result.passed, result.text
    least = {
        operation["operationId"]: count(result, method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert all(least.values()), least
    few = {id: number for id, number in least.items() if number < READ * EXAMPLES}
    assert few.keys() <= SELDOM, few
    undocumented = {
        (method, path, status)
        for method, path, status in result.requests
        if (operation := document["paths"].get(path, {}).get(method.lower()))
        and str(status) not in operation["responses"]
    }
    assert not undocumented
    errors = {key for key in result.requests if key[2] >= 500 and key[2] not in (503, 507)}
    assert not errors
    request.node.user_properties.append(
        (
            "searched",
            f"Schemathesis, seed {seed}, {request.node.name}: {result.requests.total():,} "
            f"requests, {min(least.values()):,} to {max(least.values()):,} per operation",
        )
    )


def count(result: Result, method: str, path: str) -> int:
    """How many requests an operation had."""
    return sum(
        number
        for (sent, route, _), number in result.requests.items()
        if (sent, route) == (method.upper(), path)
    )


def test_sqlite(live: Live, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    look(live, tmp_path, request)


@pytest.mark.skipif(not EXAMPLES, reason="only in a long search: make fuzz")
def test_postgres(postgres_server: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    with _fresh_postgres(postgres_server) as url, service(folder, url) as live:
        look(live, tmp_path, request)
