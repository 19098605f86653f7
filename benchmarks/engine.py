"""python -m benchmarks.engine: the engine against its peers, written to docs/benchmarks.md.

With `--only` it runs the named heats, prints their table and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.heats import HEATS, Heat
from benchmarks.limits import measure_limits
from benchmarks.race import Unfair, Workers, compare, measure
from benchmarks.report import MISSED, Outcome, heats_table, page
from benchmarks.scaling import measure_growth
from engine import native

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
LEAST_TURNS = 7


def main() -> None:
    arguments = parse()
    reason = native.unavailable()
    if reason is not None:
        sys.exit(f"There is nothing to measure: {reason}.")
    heats = [heat for heat in HEATS if not arguments.only or heat.name in arguments.only]
    if not machine.has("avx2"):
        heats = [heat for heat in heats if heat.name != "avx2"]
    try:
        with Workers() as workers:
            run(workers, heats, arguments.turns, write=not arguments.only)
    except Unfair as unfair:
        sys.exit(f"The peers cannot be compared: {unfair}. Nothing was written.")
    except KeyboardInterrupt:
        sys.exit("Interrupted. Nothing was written.")


def run(workers: Workers, heats: list[Heat], turns: int, write: bool) -> None:
    load = os.getloadavg()[0]
    finished, difference = [], 0.0
    for heat in heats:
        difference = max(difference, compare(workers, heat.contestants))
        finished.append((heat, measure(workers, heat.contestants, turns)))
        print(heats_table(finished[-1:]), end="\n\n", flush=True)
    if write:
        limits = measure_limits(workers, turns)
        growth = measure_growth(workers, turns)
        text = page(Outcome(finished, limits, growth, difference, turns, load))
        PAGE.write_text(text)
        print(f"Wrote docs/benchmarks.md; {text.count(MISSED)} targets are missed.")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [heat.name for heat in HEATS]
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument(
        "--turns",
        type=int,
        default=9,
        help="how often each peer is timed: at least 7, by default 9",
    )
    arguments = parser.parse_args()
    if arguments.turns < LEAST_TURNS:
        parser.error(f"--turns is at least {LEAST_TURNS}")
    return arguments


if __name__ == "__main__":
    main()
