"""The long form of the fault tests.

    python -m tests.faults --kills 500

It has three parts, each on SQLite and on Postgres. First, kills overlap while more than twenty
jobs run, with every other fault in between and short periods. Then faults are timed with the
default periods. Last, ten thousand tiny jobs train while one pool process is killed per second.
It prints the tables, and fails if a promise was broken. `--publish` writes the tables to
docs/reliability.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from tests.faults import report
from tests.faults.campaign import Outcome, soak, timed
from tests.faults.flood import flood

KINDS = {"sqlite": "SQLite", "postgres": "Postgres"}
SLOWEST_SECONDS = 30.0
FLOOD_JOBS = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="number of kill −9 on each database")
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", nargs="+", choices=("soak", "timed", "flood"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--publish", action="store_true", help="write docs/reliability.md")
    options = parser.parse_args()

    parts: dict[str, tuple[str, Callable[[str], Outcome]]] = {
        "soak": (
            f"{options.kills} kills while jobs run, short periods",
            lambda kind: soak(kind, options.kills, options.seed),
        ),
        "timed": ("Faults timed with the default periods", timed),
        "flood": (
            f"{FLOOD_JOBS:,} tiny jobs, four pool processes",
            lambda kind: flood(kind, FLOOD_JOBS),
        ),
    }
    kept = True
    texts = []
    for name in options.only or parts:
        title, run = parts[name]
        for kind in options.databases:
            start = time.monotonic()
            outcome = run(kind)
            seconds = time.monotonic() - start
            text = describe(f"{title}: {KINDS[kind]}", outcome, seconds)
            print(text, flush=True)
            texts.append(text)
            for complaint in outcome.complaints:
                print(f"BROKEN {complaint.kind}: {complaint.job} {complaint.text}", flush=True)
            kept = kept and not outcome.complaints and in_time(outcome)
    if options.publish:
        report.publish("\n".join(texts))
    print("every promise was kept" if kept else "a promise was broken", flush=True)
    return 0 if kept else 1


def in_time(outcome: Outcome) -> bool:
    """Whether every struck job resumed in time."""
    return all((line.slowest or 0.0) <= SLOWEST_SECONDS for line in outcome.lines)


def describe(title: str, outcome: Outcome, seconds: float) -> str:
    figures = "".join(f"- {name}: {value}\n" for name, value in outcome.figures.items())
    took = f"- the run took {seconds / 60:.0f} min\n"
    return f"### {title}\n\n{report.table(outcome.lines)}\n\n{figures}{took}"


if __name__ == "__main__":
    sys.exit(main())
