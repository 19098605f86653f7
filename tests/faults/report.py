"""The table of a long run, and its place in the documentation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.oracle import Complaint
from tests.faults.soak import Blow

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
PLACE = re.compile(r"(<!-- long run -->\n).*?(<!-- end of the long run -->)", re.DOTALL)

HEADS = ("fault", "injected", "jobs", "lost", "doubled", "not bit-equal", "slowest recovery")


@dataclass(frozen=True)
class Line:
    """The results of one kind of fault. `slowest` is None if nothing has to recover."""

    fault: str
    injected: int
    jobs: int
    lost: int
    doubled: int
    unequal: int
    slowest: float | None

    @property
    def kept(self) -> bool:
        return not (self.lost or self.doubled or self.unequal)

    def cells(self) -> list[str]:
        slowest = "" if self.slowest is None else f"{self.slowest:.1f} s"
        return [self.fault, *map(str, (self.injected, self.jobs)), *self._broken(), slowest]

    def _broken(self) -> list[str]:
        return [str(number) for number in (self.lost, self.doubled, self.unequal)]


def line(
    fault: str, blows: Sequence[Blow], jobs: Collection[str], complaints: Iterable[Complaint]
) -> Line:
    """Sums up blows and the complaints of the oracle about the jobs that they struck."""
    struck = set(jobs)
    broken: dict[str, set[str]] = {"lost": set(), "doubled": set(), "unequal": set()}
    for complaint in complaints:
        if complaint.job in struck:
            # An entry out of order was written by a process that no longer held the job.
            broken[complaint.kind.replace("unordered", "doubled")].add(complaint.job)
    seconds = [seconds for blow in blows for seconds in blow.seconds.values()]
    return Line(
        fault,
        len(blows),
        len(struck),
        len(broken["lost"]),
        len(broken["doubled"]),
        len(broken["unequal"]),
        max(seconds, default=None),
    )


def table(lines: Iterable[Line]) -> str:
    """The lines as a table in Markdown, padded so that its source is readable too."""
    rows = [HEADS, *(line.cells() for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    texts = ["| " + " | ".join(pad(row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|"
    return "\n".join([texts[0], rule.replace("-:", "--", 1), *texts[1:]])


def pad(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]


def publish(text: str) -> None:
    """Replaces the results of the last long run in the documentation by the text."""
    page = PAGE.read_text()
    PAGE.write_text(PLACE.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page))
