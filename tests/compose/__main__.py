"""`make compose-test`: tests docker-compose.yml in a real engine, from the build to the removal.

It uses the engine that `docker info` finds. It has its own project name, port and passwords, so it
does not disturb other stacks in that engine. Without an engine it says so and ends with exit code
0, or with 1 if COMPOSE_TEST=require.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from rich.console import Console
from rich.table import Table

from gradserve.errors import ClientError
from tests.compose import refusals, steps, upkeep
from tests.compose.checks import Failed
from tests.compose.stack import Stack, engine_problem
from tests.compose.world import World

PIPE_WIDTH = 150

STEPS: Sequence[tuple[str, Callable[[World], str]]] = (
    ("build the image", steps.build),
    ("docker compose up --detach --wait", steps.up),
    ("look at what the containers may do", steps.confined),
    ("gradserve keys create, use and revoke", steps.locked),
    ("gradserve submit examples/moons.json --watch", steps.moons),
    ("read the parameters of any step", steps.any_step),
    ("follow a request through logs and metrics", steps.followed),
    ("train undisturbed jobs", steps.undisturbed),
    ("scale to 3 workers, queue 200 jobs", steps.scaled),
    ("SIGKILL a worker container, crash another", steps.worker_killed),
    ("restart redis and postgres while jobs run", steps.servers_restarted),
    ("see every job succeed", steps.all_succeeded),
    ("restart the whole stack with jobs running", steps.all_restarted),
    ("build the next version, with a migration", upkeep.next_version_built),
    ("upgrade with jobs queued", upkeep.upgraded),
    ("start the old version on the new schema", upkeep.old_version_refused),
    ("back up, lose all volumes, restore", upkeep.backed_up),
    ("wrong: no password", refusals.missing_password),
    ("wrong: port taken", refusals.taken_port),
    ("wrong: broker password", refusals.wrong_broker_password),
    ("wrong: an unknown setting", refusals.unknown_setting),
    ("wrong: database password", refusals.wrong_database_password),
    ("wrong: volume of another Postgres", refusals.other_postgres),
    ("correct the mistakes", refusals.mended),
    ("docker compose down --volumes", upkeep.taken_down),
)


class Row(NamedTuple):
    step: str
    seen: str
    seconds: float


def main() -> int:
    problem = engine_problem()
    if problem is not None:
        required = os.environ.get("COMPOSE_TEST") == "require"
        print(f"compose-test {'failed' if required else 'skipped'}: {problem}")
        return 1 if required else 0
    signal.signal(signal.SIGTERM, _stop)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gradserve-compose-") as folder:
        stack = Stack(Path(folder))
        try:
            failure = run(World(stack), rows)
        finally:
            stack.clear_away()
    report(rows)
    print(f"compose-test failed: {failure}" if failure else "compose-test passed")
    return 1 if failure else 0


def run(world: World, rows: list[Row]) -> str | None:
    """Runs the steps and notes them in `rows`; returns why the last one failed, if it did."""
    for name, step in STEPS:
        print(f"… {name}", flush=True)
        started = time.monotonic()
        try:
            seen = step(world)
        except (Failed, ClientError) as error:
            rows.append(Row(name, "FAILED", time.monotonic() - started))
            print(world.stack.last_words(), file=sys.stderr)
            return f"{name}: {error}"
        rows.append(Row(name, seen, time.monotonic() - started))
    return None


def report(rows: Sequence[Row]) -> None:
    table = Table("step", "seen")
    table.add_column("seconds", justify="right")
    for row in rows:
        table.add_row(row.step, row.seen, f"{row.seconds:.1f}")
    table.add_section()
    table.add_row("all", "", f"{sum(row.seconds for row in rows):.1f}")
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)


def _stop(number: int, frame: object) -> NoReturn:
    """Ends through every `finally`, so that nothing is left running."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
