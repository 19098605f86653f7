"""What a kind of artifact is computed from, and how it says that it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.spec import JobSpec
from engine.train import TrainingState, replay


class Content(NamedTuple):
    """An answer: its bytes, and their media type."""

    data: bytes
    media_type: str


class CannotCompute(Exception):
    """There is no answer; the text is a sentence for the person who asked, with the remedy."""


@dataclass(frozen=True, slots=True)
class Work:
    """One computation: the job's specification, the arguments, and the tools.

    Attributes:
        arguments: those with which the API asked; it has checked them.
        nearest_state: the newest kept state of the job at a step or before it; None where there
            is none.
        watch: passes the slices of a long computation on. Between them it renews the lease, and
            raises where the process has to stop or the time is up.
    """

    spec: JobSpec
    arguments: Mapping[str, Any]
    nearest_state: Callable[[int], TrainingState | None]
    watch: Callable[[Iterator[Any]], Iterator[Any]]

    def state_at(self, step: int) -> TrainingState:
        """The state after `step` updates, read or replayed, with the bits that training had.

        Raises:
            InvalidData, Diverged: the training has no such state.
        """
        state = self.nearest_state(step)
        if state is not None and state.step == step:
            return state
        for replayed in self.watch(replay(self.spec, step, state)):  # noqa: B007
            pass
        found: TrainingState = replayed()
        return found
