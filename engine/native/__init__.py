"""The native executor: recorded graphs at the speed of the machine.

`engine.compiler.record` makes a program of a graph; this package runs programs. Everything that
needs numba is below here and is imported when it is used for the first time.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from engine.data.loading import InvalidData

if TYPE_CHECKING:
    from engine.training.executor import Executor
    from engine.training.prepared import PreparedTraining
    from engine.training.state import TrainingState


class Unavailable(InvalidData):
    """The native executor cannot run on this machine."""


@functools.cache
def unavailable() -> str | None:
    """Why the native executor cannot run here, in a sentence; None when it can."""
    try:
        from engine.native import availability
    except ImportError as error:
        return f"numba cannot be imported ({error})"
    return availability.missing()


def make_executor(prepared: PreparedTraining, start: TrainingState | None = None) -> Executor:
    """An executor for this training. Raises Unavailable where `unavailable` gives a reason."""
    reason = unavailable()
    if reason is not None:
        raise Unavailable(
            f'the native executor cannot run here: {reason}; use "executor": "scalar"'
        )
    from engine.native.executor import NativeExecutor

    return NativeExecutor(prepared, start)


def warm_up() -> None:
    """Compiles or loads the kernels and takes a few steps, so that later jobs start at once.

    Call it before forking: children share what it loaded. Does nothing where the native
    executor is unavailable.
    """
    if unavailable() is None:
        from engine.native import availability

        availability.warm_up()
