"""The rows that a step sees: mini-batches and the validation split, as pure functions of a seed.

There is no generator whose state would have to be stored: the order of any epoch can be computed
at any time, in any process, by either executor, with any version of any library.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

WORD = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
SPLIT_EPOCH = 2**32 - 1
"""The epoch whose order draws the validation rows; no training lasts that long."""


def mix(z: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & WORD
    return z ^ (z >> 31)


@lru_cache(maxsize=4)
def shuffled(rows: int, seed: int, epoch: int) -> tuple[int, ...]:
    """The numbers 0 … rows-1 in the order of (seed, epoch): Fisher and Yates with SplitMix64.

    A draw below i + 1 is the upper half of the word times i + 1, shifted down by 32 bits.
    """
    order = list(range(rows))
    state = mix(seed << 32 | epoch)
    for i in range(rows - 1, 0, -1):
        state = state + GOLDEN & WORD
        j = (mix(state) >> 32) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return tuple(order)


class Batches:
    """The rows of every step.

    If `size` is None, or no smaller than the number of rows, every batch holds all rows in order.
    Otherwise an epoch takes ⌈rows/size⌉ steps over one shuffled order, and its last batch may be
    smaller.
    """

    def __init__(self, rows: int, size: int | None, seed: int) -> None:
        self.rows = rows
        self.size = rows if size is None else min(size, rows)
        self.seed = seed
        self.per_epoch = -(-rows // self.size)

    def indices(self, step: int) -> Sequence[int]:
        if self.per_epoch == 1:
            return range(self.rows)
        epoch, batch = divmod(step, self.per_epoch)
        order = shuffled(self.rows, self.seed, epoch)
        return order[batch * self.size : (batch + 1) * self.size]


def split(
    rows: int, kept: int, seed: int, labels: Sequence[float] | None
) -> tuple[list[int], list[int]]:
    """The training rows and the `kept` validation rows, each in ascending order.

    With labels every class gives the same share of its rows, rounded by largest remainder, but
    keeps at least one training row.

    Raises:
        ValueError: `kept` rows would leave a class without a training row.
    """
    if kept == 0:
        return list(range(rows)), []
    strata = labels if labels is not None else [0.0] * rows
    quota = shares(strata, kept)
    validation = []
    for i in shuffled(rows, seed, SPLIT_EPOCH):
        if quota[strata[i]] > 0:
            quota[strata[i]] -= 1
            validation.append(i)
    chosen = set(validation)
    return [i for i in range(rows) if i not in chosen], sorted(validation)


def shares(labels: Sequence[float], kept: int) -> dict[float, int]:
    """The number of validation rows that each class gives: at most all but one of its rows."""
    counts: dict[float, int] = {}
    for label in sorted(labels):
        counts[label] = counts.get(label, 0) + 1
    if kept > len(labels) - len(counts):
        raise ValueError(
            f"keeping {kept} of {len(labels)} rows for validation leaves at least one of the "
            f"{len(counts)} classes without a training row; "
            f"at most {len(labels) - len(counts)} may be kept"
        )
    quota = {label: count * kept // len(labels) for label, count in counts.items()}
    # Remainders in whole numbers: count·kept mod rows.
    by_remainder = sorted(counts, key=lambda label: -(counts[label] * kept % len(labels)))
    for label in by_remainder[: kept - sum(quota.values())]:
        quota[label] += 1
    quota = {label: min(share, counts[label] - 1) for label, share in quota.items()}
    missing = kept - sum(quota.values())
    able = by_remainder
    while missing:
        # Classes that have no row left to give are dropped, so that every visit gives a row.
        able = [label for label in able if quota[label] < counts[label] - 1][:missing]
        for label in able:
            quota[label] += 1
        missing -= len(able)
    return quota
