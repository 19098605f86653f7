"""Whether the kernels can run on this machine, and their preparation."""

from __future__ import annotations

import platform
import sys

import numba
from numba.core.registry import cpu_target

from engine.spec import JobSpec
from engine.training.prepared import prepare

TINY = {
    "dataset": {"kind": "xor"},
    "model": {"layers": [{"units": 1}]},
    "loss": {"kind": "mse"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 20},
}


def missing() -> str | None:
    """Why the kernels cannot run on this machine, in a sentence; None when they can."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return "numba's compiler is switched off by NUMBA_DISABLE_JIT"
    if sys.maxsize < 2**32:
        return "the kernels need a 64-bit Python"
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    if platform.machine().lower() in ("x86_64", "amd64") and "-fma" in features:
        return "this processor has no fused multiply-add"
    return None


def warm_up() -> None:
    from engine.native.executor import NativeExecutor

    prepared = prepare(JobSpec.model_validate(TINY))
    for _ in NativeExecutor(prepared).run(prepared.spec.training.steps):
        pass
