"""The versions and the processor that make a training's bits, known without loading them."""

from __future__ import annotations

import subprocess
import sys

import numba
import numpy as np
import pytest

from engine import environment


def test_versions_and_processor_are_named() -> None:
    found = environment.environment()
    assert set(found) == {"engine", "numpy", "numba", "processor"}
    assert (found["numpy"], found["numba"]) == (np.__version__, numba.__version__)


def test_neither_numpy_nor_numba_is_loaded() -> None:
    code = (
        "import sys; from engine.environment import environment; environment(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"numpy", "numba"}


@pytest.mark.parametrize(
    ("features", "vectors"),
    [("+sse2,+avx2,+avx512f", "AVX-512"), ("+avx,+avx2,+fma", "AVX2"), ("+sse2", ""), ("", "")],
)
def test_a_processor_that_numba_is_told_counts(
    monkeypatch: pytest.MonkeyPatch, features: str, vectors: str
) -> None:
    monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    assert environment.processor().partition(" ")[2] == vectors


@pytest.mark.parametrize(
    ("name", "features", "vectors"),
    [
        ("generic", None, ""),
        ("Generic", None, ""),
        ("generic", "+avx2", "AVX2"),
        ("haswell", None, "AVX-512"),
        (None, None, "AVX-512"),
    ],
)
def test_a_generic_processor_has_no_features_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, name: str | None, features: str | None, vectors: str
) -> None:
    monkeypatch.setattr(environment, "machine_flags", lambda: "sse2 avx2 avx512f")
    for variable, value in (("NUMBA_CPU_NAME", name), ("NUMBA_CPU_FEATURES", features)):
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, value)
    assert environment.processor().partition(" ")[2] == vectors


def test_a_caller_may_change_what_it_is_given() -> None:
    environment.environment()["numpy"] = "another"
    assert environment.environment()["numpy"] == np.__version__


def test_a_missing_package_is_unknown() -> None:
    assert environment.installed("no-such-package") == "unknown"
