"""What a kind of artifact is computed from, and how it says that it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.inference import Preprocessing, preprocessing_of
from engine.networks.forward import LayerParameters, layers_of
from engine.spec import JobSpec
from engine.train import TrainingState, replay


class Content(NamedTuple):
    """An answer: its bytes, and their media type."""

    data: bytes
    media_type: str


class CannotCompute(Exception):
    """There is no answer; the text is a sentence for the person who asked, with the remedy."""


class WrongQuestion(CannotCompute):
    """What was asked does not fit the job; `pointer` is the place of the mistake."""

    def __init__(self, pointer: str, sentence: str) -> None:
        super().__init__(sentence)
        self.pointer = pointer


@dataclass(frozen=True)
class Work:
    """One computation: the job's specification, the arguments, and the tools.

    Attributes:
        job_id: the public id of the job.
        arguments: those with which the API asked; it has checked them.
        nearest_state: the newest kept state of the job at a step or before it; None where there
            is none.
        kept_parameters: those of exactly this step, one after the other; None where it was not
            kept.
        stored_preprocessing: what the job stored of its data; None where it did not.
        loss_at: the loss of the parameters of a step; None where it is not known.
        watch: passes the slices of a long computation on. Between them it renews the lease, and
            raises where the process has to stop or the time is up.
    """

    job_id: str
    spec: JobSpec
    arguments: Mapping[str, Any]
    nearest_state: Callable[[int], TrainingState | None]
    kept_parameters: Callable[[int], npt.NDArray[np.float64] | None]
    stored_preprocessing: Callable[[], Preprocessing | None]
    loss_at: Callable[[int], float | None]
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

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """What the model remembers of its data: as it was stored, or for older jobs made again.

        Raises InvalidData where the data cannot be made.
        """
        return self.stored_preprocessing() or preprocessing_of(self.spec)

    def layers_at(self, step: int) -> list[LayerParameters]:
        """The layers after `step` updates, read or replayed as by `state_at`."""
        numbers = self.kept_parameters(step)
        if numbers is None:
            numbers = self.state_at(step).parameters
        activations = [layer.activation for layer in self.spec.model.layers]
        return layers_of(numbers, self.spec.sizes(), activations)
