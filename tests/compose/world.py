"""The state that the steps share."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.compose.checks import until
from tests.compose.jobs import Undisturbed
from tests.compose.stack import Stack


@dataclass
class World:
    """The stack, and the results that later steps need."""

    stack: Stack
    moons: str = field(init=False)
    short: Undisturbed = field(init=False)
    long: Undisturbed = field(init=False)


def busy_worker(stack: Stack) -> str:
    """The container of a worker that trains a job at this moment."""

    def find() -> str:
        rows = stack.sql("SELECT worker FROM jobs WHERE state = 'running' AND step > 0")
        busy = {row.partition(":")[0] for row in rows}
        running = [id[:12] for id in stack.containers("worker")]
        return next((id for id in running if id in busy), "")

    return until(find, 60, "a worker trains a job")


def tables(stack: Stack) -> dict[str, str]:
    """The number of rows and the MD5 of every table that a backup must keep."""
    return {
        table: stack.sql(
            f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t"
        )[0]
        for table in ("jobs", "history", "checkpoints", "results", "events")
    }
