"""Register tiles compared with plain loops, for shapes that use every tile and remainder."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numba import njit

from engine.arrays import Array, Integers
from engine.native.allocation import aligned, row_length
from engine.native.kernels import plain, products, sparse, sparse_weights, weights

SHAPES = [
    (m, k, n)
    for m, k in [
        (1, 1), (1, 2), (2, 1), (3, 5), (4, 8), (7, 9), (8, 16), (13, 17), (16, 3), (9, 43),
    ]
    for n in (1, 7, 8, 16, 24, 25, 33, 40, 65)
]  # fmt: skip
"""Outputs, inputs, examples."""


@njit
def call_outputs(y, stride, w, pitch, x, m, k, vectors, bias, floor):  # type: ignore[no-untyped-def]
    products.outputs(
        y.ctypes.data, stride, w.ctypes.data, pitch, x.ctypes.data, m, k, vectors, bias, floor
    )


@njit
def call_input_gradients(gx, stride, w, pitch, gy, m, k, vectors, mode):  # type: ignore[no-untyped-def]
    products.input_gradients(
        gx.ctypes.data, stride, w.ctypes.data, pitch, gy.ctypes.data, m, k, vectors, mode
    )  # fmt: skip


@njit
def call_weight_gradients(gw, pitch, gy, x, stride, m, k, vectors, bias, relu, turned, masks):  # type: ignore[no-untyped-def]
    done = 0
    if relu:
        done = sparse_weights.weight_gradients(
            gw.ctypes.data, pitch, gy.ctypes.data, x.ctypes.data, stride, m, k, vectors,
            turned.ctypes.data, masks.ctypes.data,
        )  # fmt: skip
    weights.weight_gradients(
        gw.ctypes.data + 8 * done, pitch, gy.ctypes.data, x.ctypes.data + done * stride, stride,
        m, k - done, vectors, bias, turned.ctypes.data,
    )  # fmt: skip
    return done


@njit
def call_sparse_outputs(y, stride, w, pitch, x, m, k, vectors, bias, floor, turned, masks):  # type: ignore[no-untyped-def]
    return sparse.outputs(
        y.ctypes.data, stride, w.ctypes.data, pitch, x.ctypes.data, m, k, vectors, bias, floor,
        turned.ctypes.data, masks.ctypes.data,
    )  # fmt: skip


@njit
def call_sparse_input_gradients(gx, stride, w, pitch, gy, m, k, vectors, mode, turned, masks):  # type: ignore[no-untyped-def]
    return sparse.input_gradients(
        gx.ctypes.data, stride, w.ctypes.data, pitch, gy.ctypes.data, m, k, vectors, mode,
        turned.ctypes.data, masks.ctypes.data,
    )  # fmt: skip


class Case:
    """Random arrays of a shape; the lanes after the examples hold numbers too."""

    def __init__(self, m: int, k: int, n: int, bias: int) -> None:
        rng = np.random.default_rng(m * 10_000 + k * 100 + n)
        lanes = row_length(n)
        self.m, self.k, self.bias, self.stride = m, k, bias, 8 * lanes
        self.vectors = -(-n // 8)
        self.x, self.gx, self.y, self.gy = (aligned(rows, lanes) for rows in (k, k, m, m))
        for array in (self.x, self.gx, self.y, self.gy):
            array[:] = rng.standard_normal(array.shape)
        self.pitch = 8 * (k + bias)
        flat = aligned(m * (k + bias) + 8)
        flat[:] = rng.standard_normal(flat.size)
        self.flat = flat
        table = flat[: m * (k + bias)].reshape(m, k + bias)
        self.weights = table[:, :k]
        self.biases = table[:, k] if bias else np.zeros(m)

    def used(self, rows: Array) -> Array:
        return rows[:, : 8 * self.vectors]


def close(ours: Array, theirs: Array, terms: int) -> bool:
    return bool(np.allclose(ours, theirs, rtol=1e-13, atol=1e-14 * terms))


@pytest.mark.parametrize("bias", [0, 1])
def test_outputs(bias: int) -> None:
    for m, k, n in SHAPES:
        for floor in (-math.inf, 0.0):
            case = Case(m, k, n, bias)
            expected = case.used(case.y).copy()
            plain.outputs(expected, case.weights, case.biases, case.used(case.x), floor)
            untouched = case.y[:, 8 * case.vectors :].copy()
            call_outputs(
                case.y, case.stride, case.flat, case.pitch, case.x, m, k, case.vectors, bias, floor
            )
            assert close(case.used(case.y), expected, k), (m, k, n)
            assert np.array_equal(case.y[:, 8 * case.vectors :], untouched)


@pytest.mark.parametrize("bias", [0, 1])
@pytest.mark.parametrize(
    "mode", [products.OVERWRITE, products.ACCUMULATE, products.OVERWRITE_WHERE_POSITIVE]
)
def test_input_gradients(bias: int, mode: int) -> None:
    for m, k, n in SHAPES:
        case = Case(m, k, n, bias)
        before = case.used(case.gx).copy()
        expected = before.copy()
        plain.input_gradients(expected, case.weights, case.used(case.gy))
        if mode == products.ACCUMULATE:
            expected += before
        if mode == products.OVERWRITE_WHERE_POSITIVE:
            expected *= before > 0.0
        call_input_gradients(
            case.gx, case.stride, case.flat, case.pitch, case.gy, m, k, case.vectors, mode
        )
        assert close(case.used(case.gx), expected, m), (m, k, n)


def room_to_turn(case: Case) -> Array:
    lanes = case.stride // 8
    return aligned(max(lanes * weights.TURNED, sparse_weights.room(lanes)), 8)


def assert_weight_gradients(case: Case, relu: int, masks: Integers) -> None:
    """Asserts that they are added, with masks in which an earlier user has left numbers."""
    m, k, bias = case.m, case.k, case.bias
    expected, biases = case.weights.copy(), case.biases.copy()
    after = case.flat[m * (k + bias) :].copy()
    plain.weight_gradients(expected, biases, case.used(case.gy), case.used(case.x))
    call_weight_gradients(
        case.flat, case.pitch, case.gy, case.x, case.stride, m, k, case.vectors, bias, relu,
        room_to_turn(case), masks,
    )  # fmt: skip
    assert close(case.weights, expected, 8 * case.vectors), (m, k, case.vectors)
    assert close(case.biases, biases, 8 * case.vectors) or not bias
    assert np.array_equal(case.flat[m * (k + bias) :], after)


@pytest.mark.parametrize("bias", [0, 1])
def test_weight_gradients_are_added(bias: int) -> None:
    for m, k, n in SHAPES:
        assert_weight_gradients(Case(m, k, n, bias), relu=0, masks=np.zeros(0, np.int64))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.7, 0.9])
def test_weight_gradients_behind_a_relu(share: float) -> None:
    """If enough numbers of gy are 0, the products visit only the others."""
    masks = np.full(20 * 9, -1)
    for m, k, n in [(1, 32, 64), (5, 63, 65), (13, 64, 512), (20, 100, 131), (3, 200, 100)]:
        for bias in (0, 1):
            case = Case(m, k, n, bias)
            case.gy *= np.random.default_rng(m).random(case.gy.shape) < share
            assert_weight_gradients(case, relu=1, masks=masks)


SPARSE_SHAPES = [(32, 32, 64), (33, 63, 65), (40, 64, 100), (70, 129, 131), (64, 200, 257)]
"""Numbers of outputs, inputs and examples; then the same with outputs and inputs swapped."""


def sparse_cases(share: float, bias: int) -> Iterator[Case]:
    """The cases with this share of x and gy not 0."""
    for m, k, n in SPARSE_SHAPES:
        for shape in ((m, k, n), (k, m, n)):
            case = Case(*shape, bias)
            rng = np.random.default_rng(n)
            for numbers in (case.x, case.gy):
                numbers *= rng.random(numbers.shape) < share
            yield case


class SparseRoom:
    """Exactly the memory that the products need, followed by numbers that must not change."""

    def __init__(self, case: Case) -> None:
        lanes = case.stride // 8
        self.turned = aligned(sparse.room(lanes, case.m + case.k) + 1, 8)
        self.masks = np.full(sparse.masks_of(lanes, max(case.m, case.k)) + 1, -1)
        self.turned[-1] = math.pi

    def is_whole(self) -> bool:
        return bool((self.turned[-1] == math.pi).all()) and self.masks[-1] == -1


def covered(count: int) -> int:
    """The number of results that the tiles of the sparse products cover."""
    return count // (8 * sparse_weights.WIDTHS[-1]) * 8 * sparse_weights.WIDTHS[-1]


def assert_those_of_the_tiles(
    ours: Array, tiles: Array, before: Array, done: int, room: SparseRoom
) -> None:
    """To the bit, and the rest as it was before."""
    assert ours[:done].tobytes() == tiles[:done].tobytes()
    assert np.array_equal(ours[done:], before[done:])
    assert room.is_whole()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
@pytest.mark.parametrize("bias", [0, 1])
def test_sparse_outputs_are_those_of_the_tiles(bias: int, share: float) -> None:
    for case in sparse_cases(share, bias):
        for floor in (-math.inf, 0.0):
            m, k, vectors, room = case.m, case.k, case.vectors, SparseRoom(case)
            tiles, ours = case.y.copy(), case.y.copy()
            given = case.stride, case.flat, case.pitch, case.x, m, k, vectors, bias, floor
            call_outputs(tiles, *given)
            done = call_sparse_outputs(ours, *given, room.turned, room.masks)
            assert done == (covered(m) if share < 0.6 else 0)
            assert_those_of_the_tiles(ours, tiles, case.y, done, room)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
@pytest.mark.parametrize(
    "mode", [products.OVERWRITE, products.ACCUMULATE, products.OVERWRITE_WHERE_POSITIVE]
)
def test_sparse_input_gradients_are_those_of_the_tiles(mode: int, share: float) -> None:
    for bias in (0, 1):
        for case in sparse_cases(share, bias):
            m, k, vectors, room = case.m, case.k, case.vectors, SparseRoom(case)
            tiles, ours = case.gx.copy(), case.gx.copy()
            given = case.stride, case.flat, case.pitch, case.gy, m, k, vectors, mode
            call_input_gradients(tiles, *given)
            done = call_sparse_input_gradients(ours, *given, room.turned, room.masks)
            assert done == (covered(k) if share < 0.6 else 0)
            assert_those_of_the_tiles(ours, tiles, case.gx, done, room)


@pytest.mark.parametrize("shape", [(31, 64, 64), (64, 31, 64), (64, 64, 56)])
def test_little_is_left_to_the_tiles(shape: tuple[int, int, int]) -> None:
    case = Case(*shape, 0)
    case.x[:] = 0.0
    untouched = case.y.copy()
    room = aligned(0), np.zeros(0, np.int64)
    given = case.stride, case.flat, case.pitch, case.x, case.m, case.k, case.vectors, 0, 0.0
    assert call_sparse_outputs(case.y, *given, *room) == 0
    assert np.array_equal(case.y, untouched)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("place", [0, 37, -1])
def test_weights_that_are_not_finite_are_left_to_the_tiles(number: float, place: int) -> None:
    case = Case(33, 65, 64, 0)
    case.x[:] = case.gy[:] = 0.0
    case.flat[: 33 * 65][place] = number
    room = SparseRoom(case)
    given = 33, 65, case.vectors, 0
    shared = case.stride, case.flat, case.pitch
    assert not call_sparse_outputs(case.y, *shared, case.x, *given, 0.0, room.turned, room.masks)
    assert not call_sparse_input_gradients(
        case.gx, *shared, case.gy, *given, room.turned, room.masks
    )


def test_sparse_outputs_let_nan_through() -> None:
    case = Case(32, 64, 64, 1)
    case.x[:] = 0.0
    case.x[40, 17] = math.nan
    room = SparseRoom(case)
    call_sparse_outputs(
        case.y, case.stride, case.flat, case.pitch, case.x, 32, 64, case.vectors, 1, 0.0,
        room.turned, room.masks,
    )  # fmt: skip
    assert np.isnan(case.y[:, 17]).all()
    assert np.isfinite(np.delete(case.used(case.y), 17, axis=1)).all()


def test_nan_is_not_zero() -> None:
    case = Case(2, 40, 64, 0)
    case.gy[:] = 0.0
    case.gy[1, 17] = math.nan
    before = case.weights[0].copy()
    call_weight_gradients(
        case.flat, case.pitch, case.gy, case.x, case.stride, 2, 40, case.vectors, 0, 1,
        room_to_turn(case), np.zeros(2, np.int64),
    )  # fmt: skip
    assert np.array_equal(case.weights[0], before)
    assert np.isnan(case.weights[1]).all()


def test_a_relu_lets_nan_through() -> None:
    case = Case(3, 2, 8, 1)
    case.x[:] = math.nan
    call_outputs(case.y, case.stride, case.flat, case.pitch, case.x, 3, 2, 1, 1, 0.0)
    assert np.isnan(case.used(case.y)).all()
