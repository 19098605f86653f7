"""docs/benchmarks.md: what was measured, beside which peer, and whether the target was met."""

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

Processor time per training step. The ratio says how many times longer the peer takes.

$heats

Before a case is timed, gradserve and its peers train it from the same parameters on the same
rows in the same order, and their losses are compared step by step. The largest relative
difference was $difference.

## Start-up and tiny jobs

$limits

## Growth

Time grows like size^exponent; 1 is linear. For parameters and rows the time is that of one step of
a network 16-*h*-*h*-1. For steps it is that of a whole call of `train()` on moons before learning.

$growth

## How to read this

- **gradserve, native** on moons and with mini-batches is a whole call of `engine.train.train`:
  data, recording the graph, every slice, and the history with loss, accuracy, learning rate and
  gradient norm. In the demo and in the wide network only the steps are timed, as they are for JAX
  and PyTorch; what precedes them stands under "Start-up". The curve is a graph that a user might
  write, recorded and run by the same kernels.
- **The moons demo** repeats the demo's 100 steps from the same start. A row whose margin holds
  has a gradient of exactly 0, and gradserve leaves it out of the backward pass. On average 11 of
  the 100 rows take part in it, 85 in the first step. A peer does the same work whatever the
  numbers are. In **moons before learning** the steps are too short to learn from, so 85 rows take
  part in every backward pass. This case shows the speed of the arithmetic, and it has the same
  targets.
- **JAX, compiled loop** is `lax.scan` over all steps inside one `jit`, in the fastest of the
  layouts that were tried. **JAX, compiled step** is a jitted step called from Python. Compilation
  is not counted; the loops took
  $compilation.
- **PyTorch, eager** is `torch.nn` with `torch.optim.SGD`, **NumPy, by hand** has its gradients
  written out, **micrograd** is the loss and the loop of its demo notebook.
- **The wide network**: half of the numbers that its relus and their derivatives pass on are
  exactly 0, and gradserve's products skip them. A peer multiplies by them.
- **The same FLOPs in dgemm** are the floating-point operations of a step's matrix products,
  performed on large matrices instead. **In registers alone** they neither load nor store
  anything, so no program can perform all of them in less time on this processor. Where gradserve
  skips none, its ratio is the share of the arithmetic units' time that it uses.
- Peers take turns, each in a process of its own. A figure is the median of $turns turns, and a
  ratio is the median of the turns' ratios. Times are processor time, which other programs on the
  machine affect least; for a program of one thread it equals wall-clock time on an idle machine.
- "With AVX2" compiles gradserve and JAX for a processor without AVX-512. The other targets assume
  a processor that has it.

## Every series

Microseconds of processor time per step, job or recording, and the median of wall-clock time.

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
    return table(("case", "peer", "median", "smallest", "largest", "wall clock"), rows)


def compilation(heats: Iterable[tuple[Heat, Sequence[Series]]]) -> str:
    """How long the first call of JAX's loop took, without the time of its steps."""
    return ", ".join(
        f"{time(series.first - statistics.median(series.wall))} for {heat.name}"
        for heat, all_of_it in heats
        for series in all_of_it
        if series.peer.name == "JAX, compiled loop"
    )


def verdict(met: bool, out_of_reach: bool = False) -> str:
    if met:
        return "met"
    return f"{MISSED}: below the time that the FLOPs alone take" if out_of_reach else MISSED


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
    """Three significant digits."""
    return f"{number:,.{max(0, 2 - len(str(int(number))) + 1)}f}"
