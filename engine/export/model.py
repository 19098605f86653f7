"""A trained network with all that is needed to ask it elsewhere, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from engine.data.preprocessing import Preprocessing
from engine.networks.forward import LayerParameters


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a network comes from.

    Attributes:
        job: the id of the job that trained it.
        name: the job's name; None where it has none.
        step: how many updates were taken.
        loss: the loss of these parameters; None where it is not known.
    """

    job: str
    name: str | None
    step: int
    loss: float | None


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What every format is written from; `layers` are the parameters after `origin.step`."""

    preprocessing: Preprocessing
    layers: Sequence[LayerParameters]
    origin: Origin

    def metadata(self) -> dict[str, str]:
        """Everything but the parameters, as texts: what the formats keep beside their tensors."""
        found = {
            "format": "pt",
            "producer": "gradserve",
            "job": self.origin.job,
            "step": str(self.origin.step),
            "activations": json.dumps([layer.activation for layer in self.layers]),
            "preprocessing": self.preprocessing.to_json(),
        }
        if self.origin.name is not None:
            found["name"] = self.origin.name
        if self.origin.loss is not None:
            found["loss"] = repr(self.origin.loss)
        return found
