"""Compiled kernels, kept between processes.

Compiling takes seconds, once per machine. The result is kept in the first of these folders that
can be written to, and looked for in all of them:

1. `NUMBA_CACHE_DIR`, where that is set.
2. `__pycache__` beside this file: a checkout, a user's own installation, or an image that was
   built with the kernels in it, also when its file system is read-only later.
3. `gradserve` in the user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`).

Where none can be written to, the kernels live as long as the process. A file is named after
everything that its content depends on: the source of the kernels, versions, processor; so
nothing is ever out of date, and machines may share a folder.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import hashlib
import os
import pickle  # nosec B403 - for the user's own files
import platform
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

HERE = Path(__file__).parent
ENGINE = HERE.parent
SOURCES = (
    *sorted(HERE.rglob("*.py")),
    ENGINE / "compiler" / "instructions.py",
    ENGINE / "compiler" / "operations.py",
    ENGINE / "data" / "batches.py",
)


def folders() -> Iterator[Path]:
    """The folders that may hold kernels, best first."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        yield Path(chosen)
    yield HERE / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # no home folder
        yield (Path(home) if home else Path.home() / ".cache") / "gradserve"


@cache
def fingerprint() -> bytes:
    """A hash of the kernels' source and of what compiles them."""
    found = hashlib.sha256()
    for path in SOURCES:
        found.update(path.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, platform.python_version())
    found.update(repr(versions).encode())
    return found.digest()


class KernelCache(NullCache):
    """Finds compiled code for a numba dispatcher before it compiles."""

    def __init__(self, function: Any) -> None:
        self._name = function.__name__

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled function, or None where none is found that can be read."""
        context.refresh()
        for folder in folders():
            with suppress(OSError):
                content = (folder / self._file(signature, context.codegen())).read_bytes()
                digest, data = content[:32], content[32:]
                # A file that was cut short does not count.
                if hashlib.sha256(data).digest() == digest:
                    parts = pickle.loads(data)  # nosec B301 - as numba's cache, the user's own
                    return CompileResult._rebuild(context, *parts)
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        data = dumps(compiled._reduce())
        content = hashlib.sha256(data).digest() + data
        for folder in folders():
            target = folder / self._file(signature, compiled.codegen)
            draft = target.with_suffix(f".{uuid.uuid4().hex}")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                draft.write_bytes(content)
                draft.replace(target)
            except OSError:
                with suppress(OSError):
                    draft.unlink(missing_ok=True)
            else:
                return

    def _file(self, signature: Any, codegen: Any) -> str:
        key = fingerprint() + repr((str(signature), codegen.magic_tuple())).encode()
        return f"gradserve-{self._name}-{hashlib.sha256(key).hexdigest()[:24]}.kernel"


def cached(function: Any) -> Any:
    """Makes a numba kernel that is compiled once per machine."""
    dispatcher: Any = numba.njit(error_model="numpy", nogil=True)(function)
    dispatcher._cache = KernelCache(function)
    return dispatcher
