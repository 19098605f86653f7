"""The rows that each step sees."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.batches import Batches, mix, shares, shuffled, split


def test_splitmix_gives_its_published_numbers() -> None:
    """The first outputs of SplitMix64 seeded with 1234567, from Vigna's reference program."""
    golden, state, words = 0x9E3779B97F4A7C15, 1234567, []
    for _ in range(3):
        state = state + golden & (2**64 - 1)
        words.append(mix(state))
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.integers(0, 2**27))
def test_an_order_is_a_permutation_and_a_function_of_its_arguments(
    rows: int, seed: int, epoch: int
) -> None:
    order = shuffled(rows, seed, epoch)
    assert sorted(order) == list(range(rows))
    shuffled.cache_clear()
    assert shuffled(rows, seed, epoch) == order


def test_orders_never_change() -> None:
    """Checkpoints rely on the order: with another one, a different training would resume."""
    assert shuffled(10, 0, 0) == (4, 9, 2, 5, 1, 7, 6, 0, 3, 8)
    assert len({shuffled(10, seed, epoch) for seed in range(30) for epoch in range(30)}) == 900


def test_every_position_is_equally_likely() -> None:
    first = Counter(shuffled(5, 1, epoch)[0] for epoch in range(5000))
    assert all(abs(count - 1000) < 150 for count in first.values())


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 5))
def test_an_epoch_sees_every_row_once_and_its_last_batch_may_be_small(
    rows: int, size: int, epoch: int
) -> None:
    batches = Batches(rows, size, seed=3)
    steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
    parts = [list(batches.indices(k)) for k in steps]
    assert sorted(i for part in parts for i in part) == list(range(rows))
    assert {len(part) for part in parts[:-1]} <= {min(size, rows)}
    assert 1 <= len(parts[-1]) <= size


@pytest.mark.parametrize("size", [None, 7, 100])
def test_a_full_batch_keeps_the_order_of_the_data(size: int | None) -> None:
    assert list(Batches(7, size, seed=1).indices(5)) == list(range(7))


def test_a_split_is_stratified() -> None:
    labels = [0.0] * 70 + [1.0] * 20 + [2.0] * 10
    training, validation = split(100, 20, seed=5, labels=labels)
    assert Counter(labels[i] for i in validation) == {0.0: 14, 1.0: 4, 2.0: 2}
    assert sorted(training + validation) == list(range(100))
    assert training == sorted(training)
    assert split(100, 20, seed=6, labels=labels)[1] != validation


def test_shares_are_rounded_by_largest_remainder() -> None:
    assert shares([0.0] * 5 + [1.0] * 3 + [2.0] * 2, 3) == {0.0: 1, 1.0: 1, 2.0: 1}
    assert sum(shares([0.0, 1.0, 1.0, 2.0, 2.0], 1).values()) == 1


@pytest.mark.parametrize(
    ("labels", "kept", "expected"),
    [
        ([0.0] + [1.0] * 9, 5, {0.0: 0, 1.0: 5}),
        ([0.0, 0.0, 1.0], 1, {0.0: 1, 1.0: 0}),
        ([0.0] * 2 + [1.0] * 2 + [2.0] * 6, 7, {0.0: 1, 1.0: 1, 2.0: 5}),
    ],
)
def test_every_class_keeps_a_training_row(
    labels: list[float], kept: int, expected: dict[float, int]
) -> None:
    assert shares(labels, kept) == expected
    training, validation = split(len(labels), kept, seed=3, labels=labels)
    assert {labels[i] for i in training} == set(labels)
    assert len(validation) == kept


def readable_shares(labels: list[float], kept: int) -> dict[float, int]:
    """What `shares` computes, one row at a time."""
    counts = Counter(sorted(labels))
    quota = {label: count * kept // len(labels) for label, count in counts.items()}
    ranked = sorted(counts, key=lambda label: -(counts[label] * kept % len(labels)))
    for label in ranked[: kept - sum(quota.values())]:
        quota[label] += 1
    quota = {label: min(quota[label], counts[label] - 1) for label in counts}
    for label in itertools.cycle(ranked):
        if sum(quota.values()) == kept:
            return quota
        quota[label] += quota[label] < counts[label] - 1
    raise AssertionError


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.data())
def test_shares_are_those_of_a_readable_version(sizes: list[int], data: st.DataObject) -> None:
    labels = [float(label) for label, size in enumerate(sizes) for _ in range(size)]
    kept = data.draw(st.integers(0, len(labels) - len(sizes)))
    assert shares(labels, kept) == readable_shares(labels, kept)


def test_shares_of_many_classes_of_one_row_are_found_quickly() -> None:
    labels = [float(label) for label in range(1, 20_001)] + [0.0] * 20_000
    begun = time.process_time()
    quota = shares(labels, 19_000)
    assert time.process_time() - begun < 2.0  # far above what it takes
    assert quota[0.0] == sum(quota.values()) == 19_000


@pytest.mark.parametrize(
    ("labels", "kept", "most"), [([0.0, 1.0], 1, 0), ([0.0, 1.0, 2.0, 2.0], 2, 1)]
)
def test_a_split_that_would_take_all_rows_of_a_class_is_refused(
    labels: list[float], kept: int, most: int
) -> None:
    with pytest.raises(ValueError, match=f"without a training row; at most {most} may be kept"):
        split(len(labels), kept, seed=3, labels=labels)


def test_without_labels_rows_are_drawn_from_all() -> None:
    training, validation = split(10, 3, seed=1, labels=None)
    assert (len(training), len(validation)) == (7, 3)
