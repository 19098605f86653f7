"""docs/benchmarks.md: what was measured, against what, and whether it is enough."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import Template

from benchmarks import machine
from benchmarks.heats import REGISTERS, Heat
from benchmarks.limits import Limit
from benchmarks.race import Series
from benchmarks.scaling import Growth

LINEAR = 1.1
"""The largest exponent that still counts as linear."""

MISSED = "**missed**"

PAGE = Template("""\
# How fast the engine is

`make bench-engine` measures this and writes this page.

- Date: $date
- Processor: $processor; load average before it began: $load
- Software: $software
- All numbers are float64, every peer runs in one thread.

## Against its peers

Processor time of a training step. The ratio says how many times longer the peer takes.

$heats

Before a case is timed, gradserve and its peers train it from the same parameters on the same
rows in the same order, and their losses are compared step by step. The largest relative
difference was $difference.

## Beginnings and tiny jobs

$limits

## Growth

Time grows like size^exponent; 1 is linear. For parameters and rows it is the time of a step of a
network 16-*h*-*h*-1, for steps that of a whole call of `train()` on moons as before the first step.

$growth

## How to read this

- **gradserve, native** on moons and with mini-batches is a whole call of `engine.train.train`:
  data, recording the graph, every slice, and the history with loss, accuracy, learning rate and
  gradient norm. In the demo and in the wide network it is the steps alone, as it is for JAX and
  PyTorch; what comes before them is under "Beginnings". The curve is a graph of a user's own,
  recorded and run by the same kernels.
- **The moons demo** is its 100 steps, again and again from the same beginning. A row whose margin
  holds has a gradient of exactly 0, and gradserve leaves it out of the backward pass; in the demo
  11 of the 100 rows are in it on average, 85 in the first step. A peer does the same work whatever
  the numbers are. **As before the first step** has steps too short to learn from, so 85 rows stay
  in and the pass is done whole: that is how fast the arithmetic is, and it has the same targets.
- **JAX, compiled loop** is `lax.scan` over all steps inside one `jit`, in the layout that was the
  fastest of those tried. **JAX, compiled step** is a jitted step called from Python. Compiling
  is not counted; for the loops it took
  $compilation.
- **PyTorch, eager** is `torch.nn` with `torch.optim.SGD`, **NumPy, by hand** has its gradients
  written out, **micrograd** is the loss and the loop of its demo notebook.
- **The wide network**: half of what its relus and their rules hand on is exactly 0, and the
  products leave that out. A peer multiplies by it.
- **The same FLOPs in dgemm** are as many floating-point operations as the matrix products of a
  step have, done in products of large matrices. **In registers alone** they load and store
  nothing: no program has all of them done sooner on this processor. Where gradserve leaves none
  out, its ratio is the share of the arithmetic units' time that is put to use.
- Peers take turns, each in a process of its own. A figure is the median of $turns turns, a ratio
  the median of the ratios of each turn. Times are processor time, which other programs on the
  machine change least; a program with one thread takes as long by the clock when it is alone.
- "With AVX2" compiles gradserve and JAX for a processor without AVX-512. The other targets are
  meant for one that has it.

## Every series

Microseconds of processor time a step, or a job, or a recording, and the median by the clock.

$series
""")


@dataclass(frozen=True)
class Outcome:
    """Everything that was measured."""

    heats: Sequence[tuple[Heat, Sequence[Series]]]
    limits: Sequence[Limit]
    growth: Sequence[Growth]
    difference: float
    turns: int
    load: float


def page(outcome: Outcome) -> str:
    today = datetime.datetime.now(datetime.UTC).date()
    return PAGE.substitute(
        date=today.isoformat(),
        load=f"{outcome.load:.1f}",
        processor=machine.processor(),
        software=machine.software(),
        heats=heats_table(outcome.heats),
        difference=f"{outcome.difference:.0e}",
        limits=limits_table(outcome.limits),
        growth=growth_table(outcome.growth),
        compilation=compilation(outcome.heats),
        turns=outcome.turns,
        series=series_table(outcome),
    )


def heats_table(heats: Iterable[tuple[Heat, Sequence[Series]]]) -> str:
    rows = []
    for heat, (ours, *others) in heats:
        floor = max((s.step for s in others if s.peer == REGISTERS), default=0.0)
        for contestant, series in zip(heat.contestants[1:], others, strict=True):
            ratio, target = series.over(ours), contestant.target
            out_of_reach = target is not None and series.step / target < floor
            rows.append(
                (
                    heat.title,
                    time(ours.step),
                    series.peer.name,
                    time(series.step),
                    times(ratio),
                    "" if target is None else f"≥ {times(target)}",
                    "" if target is None else verdict(ratio >= target, out_of_reach),
                )
            )
    return table(("case", "gradserve", "peer", "peer's time", "ratio", "target", ""), rows)


def limits_table(limits: Iterable[Limit]) -> str:
    rows = [
        (
            limit.title,
            time(limit.series.step),
            "" if limit.most is None else f"≤ {time(limit.most)}",
            "" if limit.most is None else verdict(limit.series.step <= limit.most),
        )
        for limit in limits
    ]
    return table(("what", "time", "target", ""), rows)


def growth_table(growths: Iterable[Growth]) -> str:
    rows = [
        (
            growth.axis,
            " · ".join(f"{size:,}" for size in growth.sizes),
            " · ".join(map(time, growth.seconds)),
            f"{growth.exponent:.2f}",
            f"≤ {LINEAR}",
            verdict(growth.exponent <= LINEAR),
        )
        for growth in growths
    ]
    return table(("size", "sizes", "times", "exponent", "target", ""), rows)


def series_table(outcome: Outcome) -> str:
    named = [(heat.title, series) for heat, all_of_it in outcome.heats for series in all_of_it]
    named += [(limit.title, limit.series) for limit in outcome.limits]
    rows = []
    for title, series in named:
        cpu = [seconds / series.steps * 1e6 for seconds in series.cpu]
        wall = statistics.median(series.wall) / series.steps * 1e6
        numbers = (statistics.median(cpu), min(cpu), max(cpu), wall)
        rows.append((title, series.peer.name, *map(digits, numbers)))
    return table(("case", "peer", "median", "smallest", "largest", "clock"), rows)


def compilation(heats: Iterable[tuple[Heat, Sequence[Series]]]) -> str:
    """How long the first call of JAX's loop took, without the time of the steps themselves."""
    return ", ".join(
        f"{time(series.first - statistics.median(series.wall))} for {heat.name}"
        for heat, all_of_it in heats
        for series in all_of_it
        if series.peer.name == "JAX, compiled loop"
    )


def verdict(met: bool, out_of_reach: bool = False) -> str:
    if met:
        return "met"
    return f"{MISSED}: less time than the FLOPs alone take" if out_of_reach else MISSED


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def time(seconds: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{digits(seconds / unit)} {name}"
    return f"{digits(seconds / 1e-6)} µs"


def times(ratio: float) -> str:
    return f"{digits(ratio)}×"


def digits(number: float) -> str:
    """Three digits that matter."""
    return f"{number:,.{max(0, 2 - len(str(int(number))) + 1)}f}"
