"""How the cost of training grows: the exponent of a power law fitted to growing sizes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cases import MOONS_UNLEARNED, Case, case, specify
from benchmarks.heats import NATIVE, NATIVE_STEPS
from benchmarks.race import Contestant, Workers, measure

WORK = 300_000_000
"""Parameters × rows × steps per measurement."""


@dataclass(frozen=True)
class Growth:
    """Seconds by size: of one step, or of a whole training where the size is its steps."""

    axis: str
    sizes: Sequence[int]
    seconds: Sequence[float]

    @property
    def exponent(self) -> float:
        """The slope of the least-squares line through the logarithms."""
        x, y = map(math.log, self.sizes), map(math.log, self.seconds)
        return statistics.linear_regression(list(x), list(y)).slope


def regression(rows: int, units: int) -> Case:
    dataset = {
        "kind": "regression", "n_samples": rows, "n_features": 16,
        "standardise": True, "standardise_targets": True,
    }  # fmt: skip
    return case(dataset, [units, units, 1], "he", {"kind": "mse"}, 0.001)


def measure_growth(workers: Workers, turns: int) -> list[Growth]:
    widths = [regression(256, units) for units in (16, 32, 64, 128, 256)]
    heights = [regression(rows, 32) for rows in (64, 256, 1_024, 4_096, 16_384)]
    lengths = [4_000, 16_000, 64_000, 256_000]
    wide = measure(workers, [steps_of(case) for case in widths], turns)
    high = measure(workers, [steps_of(case) for case in heights], turns)
    long = measure(
        workers, [Contestant(NATIVE, MOONS_UNLEARNED, steps) for steps in lengths], turns
    )
    return [
        Growth(
            "parameters",
            [specify(case, 1).parameters() for case in widths],
            [series.step for series in wide],
        ),
        Growth(
            "rows",
            [specify(case, 1).training_rows() for case in heights],
            [series.step for series in high],
        ),
        Growth("steps", lengths, [series.step * series.steps for series in long]),
    ]


def steps_of(case: Case) -> Contestant:
    spec = specify(case, 1)
    return Contestant(NATIVE_STEPS, case, WORK // (spec.parameters() * spec.training_rows()))
