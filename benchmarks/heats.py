"""Which peers run which case, and how many times faster gradserve has to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cases import MINI_BATCHES, MOONS, MOONS_UNLEARNED, WIDE
from benchmarks.race import Contestant, Peer

NATIVE = Peer("gradserve, native", "gradserve", "train_natively")
NATIVE_STEPS = Peer("gradserve, native", "gradserve", "steps_alone")
NATIVE_DEMO = Peer("gradserve, native", "gradserve", "demo")
NATIVE_CURVE = Peer("gradserve, native", "gradserve", "curve")
NATIVE_AVX2 = Peer("gradserve, native", "gradserve", "train_natively", avx2=True)
SCALAR = Peer("gradserve, scalar", "gradserve", "train_on_values")
JAX = Peer("JAX, compiled loop", "jax", "compiled_loop")
JAX_STEP = Peer("JAX, compiled step", "jax", "compiled_step")
JAX_CURVE = Peer("JAX, compiled loop", "jax", "curve")
JAX_AVX2 = Peer("JAX, compiled loop", "jax", "compiled_loop", avx2=True)
TORCH = Peer("PyTorch, eager", "torch", "eager")
TORCH_CURVE = Peer("PyTorch, eager", "torch", "curve")
NUMPY = Peer("NumPy, by hand", "numpy", "by_hand")
DGEMM = Peer("NumPy, the same FLOPs in dgemm", "numpy", "products")
REGISTERS = Peer("the same FLOPs in registers alone", "registers", "products")
MICROGRAD = Peer("micrograd", "micrograd", "demo")


@dataclass(frozen=True)
class Heat:
    """Contestants of one case, gradserve first."""

    name: str
    title: str
    contestants: Sequence[Contestant]


HEATS = (
    Heat(
        "moons",
        "moons demo, 337 parameters, 100 rows",
        (
            Contestant(NATIVE_DEMO, MOONS, 100_000, compared=100),
            Contestant(JAX, MOONS, 40_000, compared=100, target=2.5),
            Contestant(JAX_STEP, MOONS, 4_000, compared=100),
            Contestant(TORCH, MOONS, 1_000, compared=100, target=80.0),
            Contestant(NUMPY, MOONS, 5_000, compared=100),
            Contestant(DGEMM, MOONS, 100_000, target=1.0),
            Contestant(MICROGRAD, MOONS, 3, compared=3, target=400_000.0),
        ),
    ),
    Heat(
        "unlearned",
        "moons before learning",
        (
            Contestant(NATIVE, MOONS_UNLEARNED, 100_000, compared=100),
            Contestant(JAX, MOONS_UNLEARNED, 40_000, compared=100, target=2.5),
            Contestant(TORCH, MOONS_UNLEARNED, 1_000, compared=100, target=80.0),
            Contestant(DGEMM, MOONS_UNLEARNED, 100_000, target=1.0),
            Contestant(REGISTERS, MOONS_UNLEARNED, 100_000),
            Contestant(MICROGRAD, MOONS_UNLEARNED, 3, compared=3, target=400_000.0),
        ),
    ),
    Heat(
        "avx2",
        "moons before learning, AVX2",
        (
            Contestant(NATIVE_AVX2, MOONS_UNLEARNED, 100_000, compared=100),
            Contestant(JAX_AVX2, MOONS_UNLEARNED, 40_000, compared=100, target=2.0),
        ),
    ),
    Heat(
        "mini-batches",
        "batches of 32 of 1,000 rows, 1,377 parameters",
        (
            Contestant(NATIVE, MINI_BATCHES, 64_000, compared=64),
            Contestant(JAX, MINI_BATCHES, 32_000, compared=64, target=1.8),
            Contestant(TORCH, MINI_BATCHES, 1_600, compared=64, target=30.0),
        ),
    ),
    Heat(
        "wide",
        "64-512-128-10, 256 rows, steps alone",
        (
            Contestant(NATIVE_STEPS, WIDE, 150, compared=50),
            Contestant(JAX, WIDE, 100, compared=50, target=1.2),
            Contestant(TORCH, WIDE, 75, compared=50, target=2.0),
            Contestant(REGISTERS, WIDE, 150),
        ),
    ),
    Heat(
        "curve",
        "a·sin(b·x) + c·exp(−d·x²), 200 rows",
        (
            Contestant(NATIVE_CURVE, {}, 200_000, compared=100),
            Contestant(JAX_CURVE, {}, 40_000, compared=100, target=2.0),
            Contestant(TORCH_CURVE, {}, 1_500, compared=100),
        ),
    ),
    Heat(
        "scalar",
        "moons demo on Values",
        (
            Contestant(SCALAR, MOONS, 10, compared=3),
            Contestant(MICROGRAD, MOONS, 3, compared=3, target=15.0),
        ),
    ),
)
