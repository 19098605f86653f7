"""What decides the bits of a training besides its specification: software and processor."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON", "neon": "NEON"}
"""Instruction sets by the flag that Linux shows, the widest first."""


def environment() -> dict[str, str]:
    """The versions of engine, NumPy and numba, and the kind of processor.

    Where all of them are equal, a training gives the same bits. The kernels are written so that
    they give the same bits with every register width; the rest of the software promises it for
    one kind of processor only.
    """
    return dict(found())


@cache
def found() -> dict[str, str]:
    """The environment, looked for once; its callers share it and must not change it."""
    return {
        "engine": installed("gradserve"),
        "numpy": installed("numpy"),
        "numba": installed("numba"),
        "processor": processor(),
    }


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def processor() -> str:
    """The architecture and its widest vectors, such as `x86_64 AVX-512`.

    Where numba is told to compile for another processor, that one counts.
    """
    flags = told_flags()
    if flags is None:
        flags = machine_flags()
    words = set(flags.replace("+", " ").replace(",", " ").split())
    widest = next((name for flag, name in VECTORS.items() if flag in words), "")
    return f"{platform.machine()} {widest}".strip()


def told_flags() -> str | None:
    """The features that numba is told to compile for, as it reads them; None for the machine's."""
    told = os.environ.get("NUMBA_CPU_FEATURES")
    if told is None and os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        return ""
    return told


def machine_flags() -> str:
    """The processor's features as Linux lists them; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    found = [line for line in lines if line.lower().startswith(("flags", "features"))]
    return found[0].partition(":")[2] if found else ""
