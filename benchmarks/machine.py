"""The machine and the software that the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from llvmlite import binding as llvm

PACKAGES = ("gradserve", "numba", "llvmlite", "numpy", "jax", "torch", "micrograd")


def has(feature: str) -> bool:
    """Whether the processor has the instruction set that LLVM calls `feature`."""
    return bool(llvm.get_host_cpu_features().get(feature, False))


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    vectors = [name for feature, name in VECTORS.items() if has(feature)]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} ({', '.join(vectors)}), {os.cpu_count()} cores"


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "neon": "NEON"}


def software() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{platform.system()}, Python {platform.python_version()}, {packages}"
